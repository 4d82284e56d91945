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

// The names of the files without items.
const (
	ManifestName = "manifest.json"
	// SumsName has the SHA-256 of all files and of the manifest, in the form that sha256sum -c reads.
	SumsName = "SHA256SUMS"
	// ProgressName exists until the manifest does.
	ProgressName = "progress.json"
)

// Plan says what is exported. It is fixed when the export starts, also for when it is resumed.
type Plan struct {
	Version       int    `json:"version"` // of the manifest: 1
	Format        string `json:"format"`
	FormatVersion int    `json:"format_version"`
	// Filter is the search as it was written, and Query what it meant then: relative times are absolute.
	Filter string      `json:"filter"`
	Query  trail.Query `json:"query"`
	// Before is just after the newest item at the start, by the database's clock: all items are before it. It is empty if there was
	// no item.
	Before    string `json:"before,omitempty"`
	StartedAt string `json:"started_at"` // by the program's clock, like FinishedAt
	FileRows  int64  `json:"file_rows,omitempty"`
	FileBytes int64  `json:"file_bytes,omitempty"`
	// ActionsOnly says that there were no tables of row changes: see trail.NewReader.
	ActionsOnly bool `json:"actions_only,omitempty"`
}

// FileInfo describes a file of an export.
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

// Manifest describes a finished export. It is written last, so an export without one is unfinished. Later versions only add members to
// its JSON.
type Manifest struct {
	Plan
	FinishedAt string `json:"finished_at"`
	// Resumed is how many times the export was resumed after an interruption.
	Resumed int   `json:"resumed,omitempty"`
	Rows    int64 `json:"rows"`
	Actions int64 `json:"actions"`
	Changes int64 `json:"changes"`
	// Truncated says that there were more items, and TruncatedBy which limit left them out.
	Truncated   bool       `json:"truncated"`
	TruncatedBy string     `json:"truncated_by,omitempty"`
	First       *Position  `json:"first,omitempty"`
	Last        *Position  `json:"last,omitempty"`
	Files       []FileInfo `json:"files"`
}

// progress describes an unfinished export.
type progress struct {
	Plan
	Empty   bool       `json:"empty,omitempty"` // nothing matched at the start
	Resumed int        `json:"resumed,omitempty"`
	Cursor  string     `json:"cursor,omitempty"` // after the last item of Files
	Files   []FileInfo `json:"files"`
}

func (p *progress) rows() (n int64) {
	for i := range p.Files {
		n += p.Files[i].Rows
	}
	return n
}

// manifest returns the manifest of the files, without when it was finished and whether it is truncated.
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

// sums returns the content of SHA256SUMS.
func sums(m *Manifest, manifest []byte) []byte {
	var b strings.Builder
	for i := range m.Files {
		b.WriteString(m.Files[i].SHA256 + "  " + m.Files[i].Name + "\n")
	}
	b.WriteString(sumOf(manifest) + "  " + ManifestName + "\n")
	return []byte(b.String())
}

// put writes a complete file.
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

// maxDocument is how many bytes of a manifest are read at most. A manifest has some 500 for each file.
const maxDocument = 256 << 20

// get reads a complete file. It returns nil if there is none.
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

// ManifestSHA256 returns the SHA-256 of the manifest. Keep it elsewhere, to see later whether this is still the same export.
func ManifestSHA256(ctx context.Context, from Storage) (string, error) {
	doc, err := get(ctx, from, ManifestName)
	if err == nil && doc == nil {
		err = fmt.Errorf("export: %s: %w", ManifestName, fs.ErrNotExist)
	}
	return sumOf(doc), err
}
