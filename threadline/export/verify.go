package export

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// Report is what [Verify] has found.
type Report struct {
	Manifest *Manifest `json:"manifest"` // nil if it cannot be read
	// ManifestSHA256 is the SHA-256 of the manifest. Compare it with one kept elsewhere, to detect a manifest that was replaced.
	ManifestSHA256 string  `json:"manifest_sha256,omitempty"`
	Faults         []Fault `json:"faults"`
}

// OK reports whether nothing is wrong.
func (r *Report) OK() bool { return len(r.Faults) == 0 }

// Fault is something that is wrong with an export.
type Fault struct {
	Kind FaultKind `json:"kind"`
	Name string    `json:"name"` // of the file
	Text string    `json:"text"`
}

// FaultKind says what is wrong.
type FaultKind string

// The kinds of faults.
const (
	Missing         FaultKind = "missing"          // the file does not exist
	Changed         FaultKind = "changed"          // it is not as it was written
	Extra           FaultKind = "extra"            // it is not a file of the export
	ManifestChanged FaultKind = "manifest_changed" // the manifest, or SHA256SUMS, is not as it was written
	Miscounted      FaultKind = "miscounted"       // counts contradict each other, or the files
	Disordered      FaultKind = "disordered"       // files or positions are not in order
)

// String returns the fault for people, in one line.
func (f Fault) String() string { return f.Name + ": " + f.Text }

// Verify checks that an export is as it was written: the SHA-256 of each file and of the manifest, the size of each file, that
// no file is missing and none was added, that the counts agree, and that the files are in order. It counts the rows again in the
// formats of this package, and in those given that are a [RowCounter], such as that of module export/parquet. It reads each file
// once, as a stream.
//
// The digests are beside the files: they protect against accidents, but whoever can write there can replace all of them. To
// detect that, keep [Report].ManifestSHA256 elsewhere.
//
// An error means that something could not be read. What is wrong with the export is in the report.
func Verify(ctx context.Context, from Storage, formats ...Format) (*Report, error) {
	v := &verifier{from: from, formats: formats, report: &Report{Faults: []Fault{}}}
	return v.report, v.verify(ctx)
}

type verifier struct {
	from    Storage
	formats []Format // beside those of this package
	report  *Report
}

func (v *verifier) fault(kind FaultKind, name, text string, args ...any) {
	v.report.Faults = append(v.report.Faults, Fault{kind, name, fmt.Sprintf(text, args...)})
}

func (v *verifier) verify(ctx context.Context) error {
	doc, err := get(ctx, v.from, ManifestName)
	if err != nil {
		return err
	}
	names, err := v.from.Names(ctx)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if doc == nil {
		why := "it is missing: this is not an export"
		if slices.Contains(names, ProgressName) {
			why = "it is missing: the export is not finished; resume it"
		}
		v.fault(Missing, ManifestName, "%s", why)
		return nil
	}
	v.report.ManifestSHA256 = sumOf(doc)
	m := &Manifest{}
	if err = decode(doc, m, &m.Plan); err != nil {
		v.fault(ManifestChanged, ManifestName, "it cannot be read: %v", err)
		return nil
	}
	v.report.Manifest = m
	if err = v.sums(ctx, m, doc); err != nil {
		return err
	}
	v.counts(m)
	v.order(m)
	for i := range m.Files {
		if err = v.file(ctx, m, &m.Files[i]); err != nil {
			return err
		}
	}
	v.extra(m, names)
	return nil
}

// sums compares SHA256SUMS with the manifest.
func (v *verifier) sums(ctx context.Context, m *Manifest, manifest []byte) error {
	doc, err := get(ctx, v.from, SumsName)
	switch {
	case err != nil:
		return err
	case doc == nil:
		v.fault(Missing, SumsName, "it is missing, so it is not known whether the manifest is as it was written")
		return nil
	case string(doc) == string(sums(m, manifest)):
		return nil
	}
	listed := make(map[string]string)
	for line := range strings.Lines(string(doc)) {
		sum, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		listed[name] = sum
	}
	before := len(v.report.Faults)
	if got, want := v.report.ManifestSHA256, listed[ManifestName]; got != want {
		v.fault(ManifestChanged, ManifestName, "its SHA-256 is %s, but %s has %s", got, SumsName, orNone(want))
	}
	for i := range m.Files {
		if f := &m.Files[i]; listed[f.Name] != f.SHA256 {
			v.fault(ManifestChanged, f.Name, "the manifest has the SHA-256 %s, but %s has %s", f.SHA256, SumsName, orNone(listed[f.Name]))
		}
	}
	if len(v.report.Faults) == before {
		v.fault(ManifestChanged, SumsName, "it does not list the same files as the manifest")
	}
	return nil
}

func orNone(sum string) string {
	if sum == "" {
		return "none"
	}
	return sum
}

func (v *verifier) counts(m *Manifest) {
	var rows, actions, changes int64
	for i := range m.Files {
		f := &m.Files[i]
		rows, actions, changes = rows+f.Rows, actions+f.Actions, changes+f.Changes
		if f.Rows != f.Actions+f.Changes {
			v.fault(Miscounted, f.Name, "the manifest has %d rows, but %d actions and %d row changes", f.Rows, f.Actions, f.Changes)
		}
	}
	if rows != m.Rows || actions != m.Actions || changes != m.Changes {
		v.fault(Miscounted, ManifestName, "it has %d rows, %d actions and %d row changes, but its files have %d, %d and %d", m.Rows, m.Actions, m.Changes, rows, actions, changes)
	}
	if limit := int64(m.Query.Limit); limit > 0 && m.Rows > limit || m.Truncated && m.Rows != limit {
		v.fault(Miscounted, ManifestName, "it has %d rows, but a limit of %d", m.Rows, limit)
	}
}

// order checks that the files are in order by their numbers, and that each begins where the one before ends or earlier in time.
func (v *verifier) order(m *Manifest) {
	var last *Position
	for i := range m.Files {
		f := &m.Files[i]
		if !strings.HasPrefix(f.Name, strings.TrimSuffix(partName(i+1, ".x"), "x")) {
			v.fault(Disordered, f.Name, "the manifest has it as file %d", i+1)
		}
		if f.Rows == 0 {
			continue
		}
		if f.First == nil || f.Last == nil {
			v.fault(Disordered, f.Name, "the manifest does not say where it begins and ends")
			continue
		}
		// The list of one transaction has its own order.
		if m.Query.Tx.ID == 0 && (last != nil && f.First.Time > last.Time || f.Last.Time > f.First.Time) {
			v.fault(Disordered, f.Name, "it begins at %s and ends at %s: its items are not the newest first, or not older than those of the file before", f.First.Time, f.Last.Time)
		}
		if m.Before != "" && f.First.Time >= m.Before {
			v.fault(Disordered, f.Name, "it begins at %s, but all items of the export are before %s", f.First.Time, m.Before)
		}
		last = f.Last
	}
	if n := len(m.Files); n > 0 && (!samePosition(m.First, m.Files[0].First) || !samePosition(m.Last, m.Files[n-1].Last)) {
		v.fault(Disordered, ManifestName, "its first or last item is not that of its files")
	}
}

func samePosition(a, b *Position) bool { return a == b || a != nil && b != nil && *a == *b }

// file checks what is in a file.
func (v *verifier) file(ctx context.Context, m *Manifest, info *FileInfo) error {
	if strings.ContainsAny(info.Name, `/\`) {
		v.fault(ManifestChanged, ManifestName, "the name of a file has a separator: %q", info.Name)
		return nil
	}
	f, err := v.from.Open(ctx, info.Name)
	if errors.Is(err, fs.ErrNotExist) {
		v.fault(Missing, info.Name, "there is no such file")
		return nil
	}
	if err != nil {
		return fmt.Errorf("export: %s: %w", info.Name, err)
	}
	in := &counted{w: io.Discard, sum: sha256.New()}
	tee := io.TeeReader(f, in)
	rows, isCounted, countErr := v.countRows(m.Format, tee)
	_, err = io.Copy(io.Discard, tee) // the rest, whatever was counted
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("export: %s: %w", info.Name, err)
	}
	switch sum := hex.EncodeToString(in.sum.Sum(nil)); {
	case in.size != info.Size:
		v.fault(Changed, info.Name, "it has %d bytes, but had %d", in.size, info.Size)
	case sum != info.SHA256:
		v.fault(Changed, info.Name, "its SHA-256 is %s, but was %s", sum, info.SHA256)
	case countErr != nil:
		v.fault(Miscounted, info.Name, "its rows cannot be counted: %v", countErr)
	case isCounted && rows != info.Rows:
		v.fault(Miscounted, info.Name, "it has %d rows, but the manifest says %d", rows, info.Rows)
	}
	return nil
}

// countRows counts the rows of a file, if its format can be counted.
func (v *verifier) countRows(format string, r io.Reader) (rows int64, counted bool, err error) {
	for _, f := range slices.Concat(v.formats, Formats()) {
		if c, ok := f.(RowCounter); ok && f.Name() == format {
			rows, err = c.CountRows(r)
			return rows, true, err
		}
	}
	return 0, false, nil
}

// countLines counts the lines of a file, leaving out line breaks within quotation marks if values are quoted.
func countLines(r io.Reader, quoted bool) (lines int64, _ error) {
	in := bufio.NewReaderSize(r, 64<<10)
	within := false
	for {
		chunk, end := in.ReadSlice('\n')
		if quoted && bytes.Count(chunk, []byte{'"'})%2 == 1 {
			within = !within
		}
		if !within && bytes.HasSuffix(chunk, []byte{'\n'}) {
			lines++
		}
		switch {
		case end == nil, errors.Is(end, bufio.ErrBufferFull):
		case errors.Is(end, io.EOF):
			return lines, nil
		default:
			return lines, end
		}
	}
}

// extra finds files that are not the export's.
func (v *verifier) extra(m *Manifest, names []string) {
	slices.Sort(names)
	for _, name := range names {
		isListed := slices.ContainsFunc(m.Files, func(f FileInfo) bool { return f.Name == name })
		switch {
		case isListed, name == ManifestName, name == SumsName:
		case name == ProgressName:
			v.fault(Extra, name, "the export is complete, but was interrupted before this file was removed: resume it")
		default:
			v.fault(Extra, name, "it is not a file of this export")
		}
	}
}
