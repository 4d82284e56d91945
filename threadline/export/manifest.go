package export

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// The names of files that are not data.
const (
	ManifestName = "manifest.json"
	// SumsName has the SHA-256 of all files and of the manifest, as sha256sum -c reads them.
	SumsName = "SHA256SUMS"
	// ProgressName is there until the manifest is.
	ProgressName = "progress.json"
)

// Plan is what an export is of. It is decided at the beginning, and stays when one is resumed.
type Plan struct {
	Version       int    `json:"version"` // of the manifest: 1
	Format        string `json:"format"`
	FormatVersion int    `json:"format_version"`
	// Filter is the question as it was asked, and Query what it meant: times that were relative are absolute.
	Filter string      `json:"filter"`
	Query  trail.Query `json:"query"`
	// Before is where the export begins, which is with the newest item that there was: all items are before this time, by the
	// database's clock. It is empty if there was none.
	Before    string `json:"before,omitempty"`
	StartedAt string `json:"started_at"` // by the clock of the program, as is FinishedAt
	FileRows  int64  `json:"file_rows,omitempty"`
	FileBytes int64  `json:"file_bytes,omitempty"`
}

// FileInfo is a file of an export.
type FileInfo struct {
	Name    string    `json:"name"`
	Rows    int64     `json:"rows"`
	Actions int64     `json:"actions"`
	Changes int64     `json:"changes"`
	Size    int64     `json:"size"` // in bytes
	SHA256  string    `json:"sha256"`
	First   *Position `json:"first,omitempty"`
	Last    *Position `json:"last,omitempty"`
}

// Manifest says what an export has. It is written last, so one without is not finished. Its JSON only ever gets more members.
type Manifest struct {
	Plan
	FinishedAt string `json:"finished_at"`
	// Resumed is how often it was interrupted and resumed.
	Resumed int   `json:"resumed,omitempty"`
	Rows    int64 `json:"rows"`
	Actions int64 `json:"actions"`
	Changes int64 `json:"changes"`
	// Truncated says that there was more, and TruncatedBy why it is not here.
	Truncated   bool       `json:"truncated"`
	TruncatedBy string     `json:"truncated_by,omitempty"`
	First       *Position  `json:"first,omitempty"`
	Last        *Position  `json:"last,omitempty"`
	Files       []FileInfo `json:"files"`
}

// progress is what there is of an export that is not finished.
type progress struct {
	Plan
	Empty   bool       `json:"empty,omitempty"` // there was nothing at the beginning
	Resumed int        `json:"resumed,omitempty"`
	Cursor  string     `json:"cursor,omitempty"` // behind the last of the files
	Files   []FileInfo `json:"files"`
}

func (p *progress) rows() (n int64) {
	for i := range p.Files {
		n += p.Files[i].Rows
	}
	return n
}

// manifest returns what the files have together.
func (p *progress) manifest() *Manifest {
	m := &Manifest{Plan: p.Plan, Resumed: p.Resumed, Files: p.Files}
	for i := range p.Files {
		f := &p.Files[i]
		m.Rows, m.Actions, m.Changes = m.Rows+f.Rows, m.Actions+f.Actions, m.Changes+f.Changes
		if m.First == nil {
			m.First = f.First
		}
		if f.Last != nil {
			m.Last = f.Last
		}
	}
	return m
}

func indented(v any) ([]byte, error) {
	doc, err := json.MarshalIndent(v, "", "  ")
	return append(doc, '\n'), err
}

func sumOf(doc []byte) string {
	sum := sha256.Sum256(doc)
	return hex.EncodeToString(sum[:])
}

// sums are the lines of SHA256SUMS.
func sums(m *Manifest, manifest []byte) []byte {
	var b strings.Builder
	for i := range m.Files {
		b.WriteString(m.Files[i].SHA256 + "  " + m.Files[i].Name + "\n")
	}
	b.WriteString(sumOf(manifest) + "  " + ManifestName + "\n")
	return []byte(b.String())
}

// put writes a whole file.
func put(ctx context.Context, to Storage, name string, doc []byte) error {
	f, err := to.Create(ctx, name)
	if err != nil {
		return fmt.Errorf("export: %s: %w", name, err)
	}
	if _, err = f.Write(doc); err == nil {
		err = f.Commit()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("export: %s: %w", name, err), f.Abort())
	}
	return nil
}

// maxDocument is how many bytes of a manifest are read: it has some 500 for each file.
const maxDocument = 256 << 20

// get reads a whole file, nil if it is not there.
func get(ctx context.Context, from Storage, name string) ([]byte, error) {
	f, err := from.Open(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("export: %s: %w", name, err)
	}
	doc, err := io.ReadAll(io.LimitReader(f, maxDocument))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("export: %s: %w", name, err)
	}
	return doc, nil
}

// ManifestSHA256 returns the SHA-256 of a manifest's file. Kept elsewhere, it shows later whether this is still the same export.
func ManifestSHA256(ctx context.Context, from Storage) (string, error) {
	doc, err := get(ctx, from, ManifestName)
	if err == nil && doc == nil {
		err = fmt.Errorf("export: %s: %w", ManifestName, fs.ErrNotExist)
	}
	return sumOf(doc), err
}
