package export

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// Options of [Files] and [Resume]. Nil and the zero value mean the defaults. Resume uses only Progress.
type Options struct {
	// Filter is the search as it was written, for the manifest.
	Filter string
	// FileRows and FileBytes are how many rows or bytes a file may have before the next one begins. Zero means any number of rows,
	// and [DefaultFileBytes]. The item that reaches the size is still in the file, and a Parquet file may be larger by a row group.
	FileRows, FileBytes int64
	// Progress is called after each item, with the number of rows so far.
	Progress func(rows int64)
}

// DefaultFileBytes is the size of a file if the options have none.
const DefaultFileBytes = 256 << 20

// ErrStarted means that the storage has files already.
var ErrStarted = errors.New("export: the place has files already: resume the export, or choose another place")

// ErrNotStarted means that the storage has no export.
var ErrNotStarted = errors.New("export: there is no export to resume: start one")

// Files writes the items that match q to files, the newest first, and then a [Manifest], which it returns. q.Limit counts the
// items of all files; zero means no limit. The storage must be empty, else the error is [ErrStarted].
//
// After an error or a crash, [Resume] continues. Then there is the file [ProgressName], and all files that it lists are complete.
func Files(ctx context.Context, to Storage, r *trail.Reader, q trail.Query, f Format, o *Options) (*Manifest, error) {
	if o == nil {
		o = &Options{}
	}
	if err := startable(&q); err != nil {
		return nil, err
	}
	if o.FileRows < 0 || o.FileBytes < 0 {
		return nil, fmt.Errorf("export: a file cannot have %d rows and %d bytes: zero means the default", o.FileRows, o.FileBytes)
	}
	names, err := to.Names(ctx)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	if len(names) > 0 {
		return nil, fmt.Errorf("%w (%s)", ErrStarted, names[0])
	}
	// The first item is fixed here: an export that is interrupted before its first file is complete begins again, and must begin there.
	top, found, err := first(ctx, r, q)
	if err != nil {
		return nil, err
	}
	p := &progress{Empty: !found, Files: []FileInfo{}, Plan: Plan{
		Version: 1, Format: f.Name(), FormatVersion: f.Version(), Filter: o.Filter,
		StartedAt: instant(time.Now()), FileRows: o.FileRows, FileBytes: o.FileBytes, ActionsOnly: r.ActionsOnly(),
	}}
	if p.FileBytes == 0 {
		p.FileBytes = DefaultFileBytes
	}
	if found && !top.Time().IsZero() { // an action that cannot be read has no time
		q.To = top.Time().Add(time.Microsecond).UTC()
		p.Before = instant(q.To)
	}
	p.Query = q
	x := &exporter{to: to, reader: r, format: f, options: o, progress: p}
	if err = x.save(ctx); err != nil {
		return nil, err
	}
	return x.run(ctx)
}

// Resume continues an export that was interrupted, after its last complete file, with the query, format and file sizes with which
// it was started; formats must include that format. The reader must be of the same database, with the same aliases. If the export
// is finished, Resume returns its manifest. If there is none, the error is [ErrNotStarted].
func Resume(ctx context.Context, to Storage, r *trail.Reader, formats []Format, o *Options) (*Manifest, error) {
	if o == nil {
		o = &Options{}
	}
	doc, err := get(ctx, to, ManifestName)
	if err != nil {
		return nil, err
	}
	if doc != nil {
		m := &Manifest{}
		if err = decode(doc, m, &m.Plan); err != nil {
			return nil, fmt.Errorf("export: %s: %w", ManifestName, err)
		}
		return m, to.Remove(ctx, ProgressName)
	}
	p, err := readProgress(ctx, to)
	if err != nil {
		return nil, err
	}
	if p.ActionsOnly != r.ActionsOnly() {
		return nil, errors.New("export: the tables of row changes were made or dropped since it was started: start another export")
	}
	f, err := formatOf(p.Plan, formats)
	if err != nil {
		return nil, err
	}
	x := &exporter{to: to, reader: r, format: f, options: o, progress: p}
	if err = x.discard(ctx); err != nil {
		return nil, err
	}
	p.Resumed++
	if err = x.save(ctx); err != nil {
		return nil, err
	}
	return x.run(ctx)
}

// Started returns the plan of an export, whether it is finished or was interrupted. If there is none, the error is [ErrNotStarted].
func Started(ctx context.Context, from Storage) (*Plan, error) {
	for _, name := range []string{ManifestName, ProgressName} {
		doc, err := get(ctx, from, name)
		if err != nil {
			return nil, err
		}
		if doc != nil {
			p := &Plan{}
			if err = decode(doc, p, p); err != nil {
				return nil, fmt.Errorf("export: %s: %w", name, err)
			}
			return p, nil
		}
	}
	return nil, ErrNotStarted
}

func readProgress(ctx context.Context, from Storage) (*progress, error) {
	doc, err := get(ctx, from, ProgressName)
	switch {
	case err != nil:
		return nil, err
	case doc == nil:
		return nil, ErrNotStarted
	}
	p := &progress{}
	if err = decode(doc, p, &p.Plan); err != nil {
		return nil, fmt.Errorf("export: %s: %w", ProgressName, err)
	}
	return p, nil
}

// decode decodes a file of an export, whose plan is p. It refuses what a later version of this package has written.
func decode(doc []byte, into any, p *Plan) error {
	err := json.Unmarshal(doc, into)
	if err == nil && p.Version != 1 {
		err = fmt.Errorf("it has version %d, but this program reads version 1: use the program that made it", p.Version)
	}
	return err
}

func formatOf(p Plan, formats []Format) (Format, error) {
	i := slices.IndexFunc(formats, func(f Format) bool { return f.Name() == p.Format })
	switch {
	case i < 0:
		return nil, fmt.Errorf("export: it was started with the format %q, which is not one of the formats given", p.Format)
	case formats[i].Version() != p.FormatVersion:
		return nil, fmt.Errorf("export: it was started with version %d of the format %s, but this program has %d: start a new export", p.FormatVersion, p.Format, formats[i].Version())
	}
	return formats[i], nil
}

// exporter writes the files of an export.
type exporter struct {
	to       Storage
	reader   *trail.Reader
	format   Format
	options  *Options
	progress *progress

	// The file that is being written. file is nil before and after.
	file    File
	buffer  *bufio.Writer
	counted *counted
	encoder Encoder
	info    FileInfo
	after   string // the cursor after its last item
}

// counted counts the bytes that pass, and computes their SHA-256.
type counted struct {
	w    io.Writer
	size int64
	sum  hash.Hash
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.size += int64(n)
	c.sum.Write(p[:n])
	return n, err
}

func (x *exporter) save(ctx context.Context) error {
	doc, err := indented(x.progress)
	if err != nil {
		return err
	}
	return put(ctx, x.to, ProgressName, doc)
}

// discard removes files that were completed before the interruption, but not yet recorded in the progress.
func (x *exporter) discard(ctx context.Context) error {
	names, err := x.to.Names(ctx)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	for _, name := range names {
		isListed := slices.ContainsFunc(x.progress.Files, func(f FileInfo) bool { return f.Name == name })
		if !isListed && (isPart(name) || name == SumsName) {
			if err = x.to.Remove(ctx, name); err != nil {
				return fmt.Errorf("export: %w", err)
			}
		}
	}
	for i := range x.progress.Files {
		if name := x.progress.Files[i].Name; !slices.Contains(names, name) {
			return fmt.Errorf("export: %s is missing: start a new export in another place", name)
		}
	}
	return nil
}

const partPrefix = "part-"

func partName(n int, extension string) string {
	return fmt.Sprintf("%s%06d%s", partPrefix, n, extension)
}

// isPart reports whether a name is that of a file with items.
func isPart(name string) bool {
	digits, _, found := strings.Cut(strings.TrimPrefix(name, partPrefix), ".")
	return found && strings.HasPrefix(name, partPrefix) && len(digits) >= 6 && strings.Trim(digits, "0123456789") == ""
}

func (x *exporter) run(ctx context.Context) (m *Manifest, err error) {
	defer func() {
		if x.file != nil {
			err = errors.Join(err, x.file.Abort())
		}
	}()
	truncated := false
	if !x.progress.Empty {
		if truncated, err = x.writeItems(ctx); err != nil {
			return nil, err
		}
	}
	if x.file == nil && len(x.progress.Files) == 0 { // an export without items has one file without items
		if err = x.beginFile(ctx); err != nil {
			return nil, err
		}
	}
	if x.file != nil {
		if err = x.endFile(ctx, truncated); err != nil {
			return nil, err
		}
	}
	return x.finish(ctx, truncated)
}

// writeItems writes the items that are left, and reports whether the limit left any out. The last file is still open afterwards.
func (x *exporter) writeItems(ctx context.Context) (truncated bool, err error) {
	q := x.progress.Query
	q.Cursor = x.progress.Cursor
	rows := x.progress.rows()
	for e, err := range limited(ctx, x.reader, q, rows, &truncated) {
		if err != nil {
			return false, err
		}
		if x.file == nil {
			if err = x.beginFile(ctx); err != nil {
				return false, err
			}
		}
		if err = x.add(e); err != nil {
			return false, err
		}
		if rows++; x.options.Progress != nil {
			x.options.Progress(rows)
		}
		if x.isFull() && e.after != "" {
			if err = x.endFile(ctx, false); err != nil {
				return false, err
			}
		}
	}
	return truncated, nil
}

func (x *exporter) beginFile(ctx context.Context) (err error) {
	x.info = FileInfo{Name: partName(len(x.progress.Files)+1, x.format.Extension())}
	if x.file, err = x.to.Create(ctx, x.info.Name); err != nil {
		return fmt.Errorf("export: %s: %w", x.info.Name, err)
	}
	x.buffer = bufio.NewWriterSize(x.file, 64<<10)
	x.counted = &counted{w: x.buffer, sum: sha256.New()}
	x.encoder, err = x.format.Begin(x.counted)
	return err
}

func (x *exporter) add(e Entry) error {
	if err := x.encoder.Encode(e); err != nil {
		return fmt.Errorf("export: %s: %w", x.info.Name, err)
	}
	x.after = e.after
	x.info.Rows++
	if e.Action != nil {
		x.info.Actions++
	} else {
		x.info.Changes++
	}
	x.info.Last = e.position()
	if x.info.First == nil {
		x.info.First = x.info.Last
	}
	return nil
}

func (x *exporter) isFull() bool {
	p := &x.progress.Plan
	return p.FileRows > 0 && x.info.Rows >= p.FileRows || x.counted.size >= p.FileBytes
}

// endFile completes the file, and records it in the progress.
func (x *exporter) endFile(ctx context.Context, truncated bool) error {
	err := x.encoder.Close(truncated)
	if err == nil {
		err = x.buffer.Flush()
	}
	if err == nil {
		err = x.file.Commit()
	}
	if err != nil {
		return fmt.Errorf("export: %s: %w", x.info.Name, err)
	}
	x.file = nil
	x.info.Size, x.info.SHA256 = x.counted.size, hex.EncodeToString(x.counted.sum.Sum(nil))
	x.progress.Files = append(x.progress.Files, x.info)
	if x.progress.Cursor = x.after; x.after == "" {
		return nil // no cursor leads past its last item: if the program is killed before the manifest is there, the file is written again
	}
	return x.save(ctx)
}

// finish writes the manifest.
func (x *exporter) finish(ctx context.Context, truncated bool) (*Manifest, error) {
	m := x.progress.manifest()
	m.FinishedAt = instant(time.Now())
	if m.Truncated = truncated; truncated {
		m.TruncatedBy = fmt.Sprintf("the limit of %d rows", m.Query.Limit)
	}
	doc, err := indented(m)
	if err != nil {
		return nil, err
	}
	if err = put(ctx, x.to, SumsName, sums(m, doc)); err != nil {
		return nil, err
	}
	if err = put(ctx, x.to, ManifestName, doc); err != nil {
		return nil, err
	}
	return m, x.to.Remove(ctx, ProgressName)
}
