package export

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
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
	// ManifestSHA256 is that of the manifest's file. Who keeps it elsewhere can tell a manifest that was replaced.
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
	Missing         FaultKind = "missing"          // there is no such file
	Changed         FaultKind = "changed"          // it is not as it was written
	Extra           FaultKind = "extra"            // it is no file of the export
	ManifestChanged FaultKind = "manifest_changed" // the manifest, or SHA256SUMS, is not as it was written
	Miscounted      FaultKind = "miscounted"       // counts that do not fit each other, or what is in the files
	Disordered      FaultKind = "disordered"       // files or positions that are not in their order
)

// String returns the fault for people, in one line.
func (f Fault) String() string { return f.Name + ": " + f.Text }

// Verify checks that an export is as it was written: the SHA-256 and the size of each file and of the manifest, that none is
// missing and none was added, that the counts fit, and that the files follow each other. Rows are counted again, except in
// formats of other modules. It reads each file once, and has none in memory.
//
// The digests are beside the files, so they protect against accidents, and against changes by who does not know of them. Keep
// [Report].ManifestSHA256 elsewhere to tell whether all of it was replaced.
//
// The error says that something could not be read; what is wrong is in the report.
func Verify(ctx context.Context, from Storage) (*Report, error) {
	v := &verifier{from: from, report: &Report{Faults: []Fault{}}}
	return v.report, v.verify(ctx)
}

type verifier struct {
	from   Storage
	report *Report
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
		why := "there is none: this is no export"
		if slices.Contains(names, ProgressName) {
			why = "there is none: the export is not finished; resume it"
		}
		v.fault(Missing, ManifestName, "%s", why)
		return nil
	}
	v.report.ManifestSHA256 = sumOf(doc)
	m := &Manifest{}
	if err = json.Unmarshal(doc, m); err == nil && m.Version != 1 {
		err = fmt.Errorf("it has version %d, and this program knows 1", m.Version)
	}
	if err != nil {
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
		v.fault(Missing, SumsName, "there is none, so it is not known whether the manifest is as it was written")
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
		v.fault(ManifestChanged, ManifestName, "its SHA-256 is %s, and %s has %s", got, SumsName, orNone(want))
	}
	for i := range m.Files {
		if f := &m.Files[i]; listed[f.Name] != f.SHA256 {
			v.fault(ManifestChanged, f.Name, "the manifest has the SHA-256 %s, and %s has %s", f.SHA256, SumsName, orNone(listed[f.Name]))
		}
	}
	if len(v.report.Faults) == before {
		v.fault(ManifestChanged, SumsName, "it lists other files than the manifest")
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
			v.fault(Miscounted, f.Name, "the manifest has %d rows, and %d actions and %d row changes", f.Rows, f.Actions, f.Changes)
		}
	}
	if rows != m.Rows || actions != m.Actions || changes != m.Changes {
		v.fault(Miscounted, ManifestName, "it has %d rows, %d actions and %d row changes, and its files have %d, %d and %d", m.Rows, m.Actions, m.Changes, rows, actions, changes)
	}
	if limit := int64(m.Query.Limit); limit > 0 && m.Rows > limit || m.Truncated && m.Rows != limit {
		v.fault(Miscounted, ManifestName, "it has %d rows, and a limit of %d", m.Rows, limit)
	}
}

// order checks that the files are those of an export, in their order, and each begins behind the one before.
func (v *verifier) order(m *Manifest) {
	var last *Position
	for i := range m.Files {
		f := &m.Files[i]
		if !strings.HasPrefix(f.Name, strings.TrimSuffix(partName(i+1, ".x"), "x")) {
			v.fault(Disordered, f.Name, "it is at place %d of the manifest", i+1)
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
			v.fault(Disordered, f.Name, "it begins at %s and ends at %s: the items are not the newest first", f.First.Time, f.Last.Time)
		}
		if m.Before != "" && f.First.Time >= m.Before {
			v.fault(Disordered, f.Name, "it begins at %s, and all items are before %s", f.First.Time, m.Before)
		}
		last = f.Last
	}
	if n := len(m.Files); n > 0 && (!same(m.First, m.Files[0].First) || !same(m.Last, m.Files[n-1].Last)) {
		v.fault(Disordered, ManifestName, "it begins or ends elsewhere than its files")
	}
}

func same(a, b *Position) bool { return a == b || a != nil && b != nil && *a == *b }

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
	rows, known, countErr := countRows(m.Format, tee)
	_, err = io.Copy(io.Discard, tee) // the rest, whatever was counted
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("export: %s: %w", info.Name, err)
	}
	switch sum := hex.EncodeToString(in.sum.Sum(nil)); {
	case in.size != info.Size:
		v.fault(Changed, info.Name, "it has %d bytes, and had %d", in.size, info.Size)
	case sum != info.SHA256:
		v.fault(Changed, info.Name, "its SHA-256 is %s, and was %s", sum, info.SHA256)
	case countErr != nil:
		v.fault(Miscounted, info.Name, "its rows cannot be counted: %v", countErr)
	case known && rows != info.Rows:
		v.fault(Miscounted, info.Name, "it has %d rows, and the manifest says %d", rows, info.Rows)
	}
	return nil
}

// countRows counts the rows of a file in one of the formats of this package.
func countRows(format string, r io.Reader) (rows int64, known bool, err error) {
	in := bufio.NewReaderSize(r, 64<<10)
	isQuoted := false
	for {
		chunk, err := in.ReadSlice('\n')
		for _, c := range chunk {
			isQuoted = isQuoted != (c == '"' && format == "csv")
		}
		if len(chunk) > 0 && chunk[len(chunk)-1] == '\n' && !isQuoted {
			rows++
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			switch format {
			case "csv":
				return rows - 1, true, err // the names of the columns
			case "json":
				return rows - 2, true, err // the beginning, and the end
			case "ndjson", "cloudevents", "ocsf":
				return rows, true, err
			}
			return 0, false, err
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
			v.fault(Extra, name, "the export ended just before it was removed: resume it")
		default:
			v.fault(Extra, name, "it is no file of this export")
		}
	}
}
