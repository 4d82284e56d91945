// Package cli is the program threadline: its commands, what they print, and their exit codes.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/go-aftercommit/aftercommit/threadline/cmd/threadline/internal/screen"
	"github.com/go-aftercommit/aftercommit/threadline/internal/near"
)

// What the program exits with.
const (
	exitOK          = 0
	exitFinding     = 1 // there is something to look at: a conflict, drift, a dead letter
	exitUsage       = 2 // the command line is wrong
	exitUnreachable = 3 // the database did not answer, or not with what was asked
)

// failure is an error with its exit code.
type failure struct {
	code int
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func usage(format string, args ...any) error {
	return &failure{exitUsage, fmt.Errorf(format, args...)}
}

// errFound is the error of a command that has said what it found.
var errFound = errors.New("something was found")

// app is one run of the program.
type app struct {
	in       io.Reader
	out, err io.Writer
	now      time.Time

	databaseURL, schema, zone string
	aliases                   []string
	json, full                bool

	screen *screen.Screen
}

// Run runs the program with its arguments, without its name, and returns its exit code.
func Run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	a := &app{in: in, out: out, err: errOut, now: time.Now()}
	root := a.root() //nolint:contextcheck // its commands have that of ExecuteContextC
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	cmd, err := root.ExecuteContextC(ctx)
	return a.end(cmd, err)
}

// end says what went wrong, and returns the exit code.
func (a *app) end(cmd *cobra.Command, err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errFound):
		return exitFinding
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(a.err, "threadline: interrupted")
		return exitUnreachable
	}
	f := advised(err)
	fmt.Fprintln(a.err, "threadline: "+f.Error())
	if f.code == exitUsage {
		fmt.Fprintf(a.err, "Run %q for help.\n", cmd.CommandPath()+" --help")
	}
	return f.code
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "threadline",
		Short: "Who changed what, from which value to which",
		Long: `threadline reads the audit trail of a database: what was done, by whom, and which rows it changed.

The database is that of --database-url, or else of DATABASE_URL, or else of libpq's
variables (PGHOST, PGDATABASE, PGSERVICE, ...). Put a password into one of the
variables, or into ~/.pgpass: other users can see the command line.

It exits with 0 if all is well, 1 if there is something to look at, 2 if the
command line is wrong, and 3 if the database did not answer.`,
		SilenceUsage: true, SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.prepare(cmd) },
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.databaseURL, "database-url", "", "postgres://USER@HOST/DATABASE, or a SQLite file")
	flags.StringVar(&a.schema, "schema", "threadline", "schema of the timeline's tables; on SQLite their prefix")
	flags.StringArrayVar(&a.aliases, "alias", nil, "another name for a target: order=orders (can be repeated)")
	flags.StringVar(&a.zone, "zone", "", `time zone, such as "UTC" or "Europe/Berlin" (default: the machine's)`)
	flags.BoolVar(&a.json, "json", false, "print JSON")
	flags.BoolVar(&a.full, "full", false, "shorten nothing to the width of the terminal")
	root.SetFlagErrorFunc(suggestFlag)
	root.AddGroup(
		&cobra.Group{ID: "ask", Title: "Questions:"},
		&cobra.Group{ID: "keep", Title: "Operating the trail:"},
	)
	for _, c := range []*cobra.Command{a.search(), a.tail(), a.show(), a.history(), a.asOf(), a.diff(), a.undo(), a.incident(), a.export()} {
		c.GroupID = "ask"
		root.AddCommand(c)
	}
	for _, c := range []*cobra.Command{a.doctor(), a.migrate(), a.triggers(), a.coverage(), a.policy(), a.forwarders()} {
		c.GroupID = "keep"
		root.AddCommand(c)
	}
	root.AddCommand(a.version())
	strict(root)
	fill(root)
	return root
}

// strict makes a command that has others refuse words that are none of these, with the nearest.
func strict(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		strict(c)
	}
	if !cmd.HasSubCommands() || cmd.Runnable() {
		return
	}
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		var names []string
		for _, c := range cmd.Commands() {
			names = append(names, c.Name())
		}
		return usage("%s has no command %q%s", cmd.CommandPath(), args[0], meant(near.Of(args[0], names)))
	}
}

func meant(name string) string {
	if name == "" {
		return ""
	}
	return fmt.Sprintf(": did you mean %q?", name)
}

// suggestFlag adds the nearest flag to pflag's error.
func suggestFlag(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		if word := unknown.GetSpecifiedShortnames(); strings.Contains(word, ":") {
			return usage(`"-%s" begins with a hyphen, as a flag does: write such words last, after two hyphens: %s -- -%s`, word, cmd.CommandPath(), word)
		}
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		name := near.Of(unknown.GetSpecifiedName(), names)
		if name != "" {
			name = "--" + name
		}
		return usage("%w%s", err, meant(name))
	}
	return usage("%w", err)
}

// prepare reads the flags that all commands have.
func (a *app) prepare(*cobra.Command) error {
	zone := time.Local
	if a.zone != "" {
		var err error
		if zone, err = time.LoadLocation(a.zone); err != nil {
			return usage(`--zone: no time zone is called %q: write "UTC", "Local" or a name such as "Europe/Berlin"`, a.zone)
		}
	}
	a.now = a.now.In(zone)
	a.screen = screen.New(a.out, zone, a.now)
	if a.full {
		a.screen.Width = 0
	}
	return nil
}

// print writes an answer as JSON, on one line.
func (a *app) print(answer any) error {
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	return e.Encode(answer)
}
