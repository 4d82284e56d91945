package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/go-aftercommit/aftercommit/threadline/cmd/threadline/internal/screen"
	"github.com/go-aftercommit/aftercommit/threadline/export"
	"github.com/go-aftercommit/aftercommit/threadline/export/parquet"
	"github.com/go-aftercommit/aftercommit/threadline/internal/near"
	"github.com/go-aftercommit/aftercommit/threadline/search"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// Exported is what "threadline export --out" prints as JSON.
type Exported struct {
	Manifest *export.Manifest `json:"manifest"`
	SHA256   string           `json:"manifest_sha256"`
}

// exporting is a run of "threadline export".
type exporting struct {
	*app
	format, dir, fileSize string
	maxRows, fileRows     int
	resume                bool
}

func (a *app) export() *cobra.Command {
	x := &exporting{app: a}
	cmd := &cobra.Command{
		Use:   "export [WORD...]",
		Short: "Write everything that a search finds to files",
		Long: `export writes the actions and row changes that match all words, the newest first, in
the words of "threadline search". Without words it writes everything. It leaves out what is
recorded after it has begun.

Without --out it writes to stdout. With --out it writes files that only you can read to a
directory, and a manifest with the number of rows, the first and the last item, and the SHA-256
of each file. "threadline export verify" checks them later. If an export was interrupted, run it
again with --resume.

  csv          a table; a cell that would be a formula begins with a '
  json         one document; the form is that of "threadline search --json"
  ndjson       a JSON document on each line, in the same form
  cloudevents  a CloudEvent 1.0 on each line
  ocsf         an OCSF event on each line: API Activity and Entity Management
  parquet      a table; with --out only`,
		Example: `  threadline export table:orders after:2026-11-01 > november.csv
  threadline export --format parquet --out november after:2026-11-01
  threadline export --out 2026-11 --resume
  threadline export verify 2026-11`,
		RunE: func(cmd *cobra.Command, args []string) error { return x.run(cmd, args) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&x.format, "format", "f", "csv", strings.Join(formatNames(), ", "))
	flags.StringVar(&x.dir, "out", "", "the directory; it must be empty, or not exist yet")
	flags.IntVar(&x.maxRows, "max-rows", 0, "stop after so many rows; the manifest records it (default: all)")
	flags.StringVar(&x.fileSize, "file-size", "", "begin another file after so many bytes: 500KB, 64MB, 2GB (default 256MB)")
	flags.IntVar(&x.fileRows, "file-rows", 0, "begin another file after so many rows")
	flags.BoolVar(&x.resume, "resume", false, "continue the interrupted export in --out")
	cmd.AddCommand(a.verifyExport())
	return cmd
}

func formats() []export.Format { return append(export.Formats(), parquet.Format()) }

func formatNames() (names []string) {
	for _, f := range formats() {
		names = append(names, f.Name())
	}
	return names
}

func (x *exporting) run(cmd *cobra.Command, args []string) error {
	f, err := x.chosen(cmd)
	if err != nil {
		return err
	}
	size, err := bytesOf(x.fileSize)
	if err != nil {
		return err
	}
	switch {
	case x.maxRows < 0 || x.fileRows < 0:
		return usage("--max-rows and --file-rows must not be negative")
	case x.dir == "" && x.resume:
		return usage("--resume needs --out, the directory of the export that was interrupted")
	case x.dir == "" && (size > 0 || x.fileRows > 0):
		return usage("--file-size and --file-rows need --out")
	case x.dir == "" && f.Name() == "parquet":
		return usage("Parquet cannot be written to stdout: give a directory with --out")
	}
	terms, err := x.terms(args)
	if err != nil {
		return err
	}
	q, err := terms.Trail(x.now)
	if err != nil {
		return pointed(err, terms.String())
	}
	q.Limit = x.maxRows
	return x.with(cmd.Context(), func(t *target) error {
		reader, err := x.trail(cmd.Context(), t)
		switch {
		case err != nil:
			return err
		case x.dir == "":
			err = x.stream(cmd.Context(), reader, q, f)
		case x.resume:
			return x.continueExport(cmd, reader, terms)
		default:
			err = x.files(cmd.Context(), reader, q, f, &export.Options{Filter: terms.String(), FileBytes: size, FileRows: int64(x.fileRows)})
		}
		return pointed(terms.Explain(err), terms.String())
	})
}

// chosen is the format that was named. --json means JSON where nothing else is said about stdout.
func (x *exporting) chosen(cmd *cobra.Command) (export.Format, error) {
	if x.json && x.dir == "" && !cmd.Flags().Changed("format") {
		x.format = "json"
	}
	for _, f := range formats() {
		if f.Name() == x.format {
			return f, nil
		}
	}
	return nil, usage("--format: %q is not one of %s%s", x.format, strings.Join(formatNames(), ", "), meant(near.Of(x.format, formatNames())))
}

// bytesOf reads a size: 500KB, 64MB, 2GB, or bytes.
func bytesOf(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	number, unit := strings.ToUpper(text), int64(1)
	for i, name := range []string{"KB", "MB", "GB"} {
		if rest, ok := strings.CutSuffix(number, name); ok {
			number, unit = rest, 1<<(10*(i+1))
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(number, "B"), 10, 64)
	if err != nil || n < 1 || n > 1<<62/unit {
		return 0, usage("--file-size: %q is no size: write it like 500KB, 64MB or 2GB", text)
	}
	return n * unit, nil
}

func (x *exporting) stream(ctx context.Context, reader *trail.Reader, q trail.Query, f export.Format) error {
	s, err := export.Write(ctx, x.out, reader, q, f)
	if err != nil {
		return err
	}
	if s.Truncated {
		fmt.Fprintf(x.err, "Truncated: there is more than the %s of --max-rows.\n", count(x.maxRows, "row"))
	}
	return nil
}

func (x *exporting) files(ctx context.Context, reader *trail.Reader, q trail.Query, f export.Format, o *export.Options) (err error) {
	dir, err := export.MakeDirectory(x.dir)
	if err != nil {
		return usage("--out: %w", err)
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	done := x.progress(o)
	m, err := export.Files(ctx, dir, reader, q, f, o)
	done()
	return x.printResult(ctx, m, err)
}

// continueExport resumes an export. If words are given, they must be those with which it was started.
func (x *exporting) continueExport(cmd *cobra.Command, reader *trail.Reader, terms search.Terms) (err error) {
	ctx := cmd.Context()
	dir, err := export.OpenDirectory(x.dir)
	if err != nil {
		return usage("--out: %w", err)
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	plan, err := export.Started(ctx, dir)
	if err != nil {
		return x.printResult(ctx, nil, err)
	}
	for _, name := range []string{"max-rows", "file-size", "file-rows"} {
		if cmd.Flags().Changed(name) {
			return usage("--%s was set when the export was started: leave it out", name)
		}
	}
	if len(terms) > 0 && terms.String() != plan.Filter {
		return usage("the export in %s was started with the words %q: leave the words out, or give the same", x.dir, plan.Filter)
	}
	if cmd.Flags().Changed("format") && x.format != plan.Format {
		return usage("the export in %s was started with --format %s: leave --format out, or give the same", x.dir, plan.Format)
	}
	o := &export.Options{}
	done := x.progress(o)
	m, err := export.Resume(ctx, dir, reader, formats(), o)
	done()
	return x.printResult(ctx, m, err)
}

// progress shows the number of rows on a terminal, until the function that it returns is called.
func (x *exporting) progress(o *export.Options) (done func()) {
	file, ok := x.err.(*os.File)
	if !ok || !screen.IsTerminal(file) {
		return func() {}
	}
	o.Progress = func(rows int64) {
		if rows%1000 == 0 {
			fmt.Fprintf(x.err, "\r%d rows", rows)
		}
	}
	return func() { fmt.Fprint(x.err, "\r\x1b[K") }
}

// printResult prints what was written, or explains why nothing was.
func (x *exporting) printResult(ctx context.Context, m *export.Manifest, err error) error {
	switch {
	case errors.Is(err, export.ErrStarted):
		return usage("--out: %s has files: add --resume if it is an export that was interrupted, or choose another directory", x.dir)
	case errors.Is(err, export.ErrNotStarted):
		return usage("--resume: no export was started in %s", x.dir)
	case err != nil:
		return err
	}
	dir, err := export.OpenDirectory(x.dir)
	if err != nil {
		return err
	}
	sum, err := export.ManifestSHA256(ctx, dir)
	if err = errors.Join(err, dir.Close()); err != nil {
		return err
	}
	if m.Truncated {
		fmt.Fprintf(x.err, "Truncated: there is more than the %s of --max-rows.\n", count(m.Query.Limit, "row"))
	}
	if x.json {
		return x.print(Exported{m, sum})
	}
	s := x.screen
	s.Printf("%s in %s: %s, %s\n", count(len(m.Files), "file"), screen.Plain(x.dir), count(int(m.Actions), "action"), count(int(m.Changes), "row change"))
	if m.First != nil {
		s.Printf("from %s to %s\n", m.First.Time, m.Last.Time)
	}
	s.Printf("SHA-256 of the manifest: %s\n", sum)
	return nil
}

// count writes a number and what it counts, in the plural unless it is one.
func count(n int, what string) string {
	switch stem, y := strings.CutSuffix(what, "y"); {
	case n == 1:
		return "1 " + what
	case y:
		return strconv.Itoa(n) + " " + stem + "ies"
	}
	return strconv.Itoa(n) + " " + what + "s"
}

func (a *app) verifyExport() *cobra.Command {
	return &cobra.Command{
		Use:   "verify DIR",
		Short: "Check that the files of an export are as they were written",
		Long: `verify checks the SHA-256, the size and the rows of each file, that no file is missing and
none was added, and that the manifest is the one that was written. It needs no database. If
something is wrong, it says what, and exits with 1.`,
		Example: `  threadline export verify 2026-11
  threadline export verify 2026-11 --json | jq .faults`,
		Args: exactly("the directory"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			dir, err := export.OpenDirectory(args[0])
			if errors.Is(err, fs.ErrNotExist) {
				return usage("there is no directory %q", args[0])
			}
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, dir.Close()) }()
			report, err := export.Verify(cmd.Context(), dir, parquet.Format())
			if err != nil {
				return err
			}
			return a.verified(report)
		},
	}
}

func (a *app) verified(r *export.Report) error {
	s := a.screen
	switch {
	case a.json:
		if err := a.print(r); err != nil {
			return err
		}
	case r.OK():
		m := r.Manifest
		s.Printf("%s, %s: as they were written\n", count(len(m.Files), "file"), count(int(m.Rows), "row"))
		if m.Truncated {
			s.Printf("Truncated by %s: there was more.\n", m.TruncatedBy)
		}
		s.Printf("SHA-256 of the manifest: %s\n", r.ManifestSHA256)
	}
	for _, f := range r.Faults {
		if !a.json {
			s.Printf("%s  %s\n", s.In(screen.Bad, string(f.Kind)), screen.Plain(f.String()))
		}
	}
	if !r.OK() {
		return errFound
	}
	return nil
}
