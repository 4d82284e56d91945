package export_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/export"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

func (w *world) wantMode(path string, want os.FileMode) {
	w.Helper()
	info, err := os.Stat(path)
	w.must(err)
	if info.Mode().Perm() != want {
		w.Errorf("%s has the mode %s", path, info.Mode())
	}
}

// TestFiles: the manifest says what there is, and each file is as long as was chosen.
func TestFiles(t *testing.T) {
	both(t, func(w *world) {
		w.sellsMany(6)
		for _, f := range export.Formats() {
			q := trail.Query{Tables: []string{"orders"}}
			all := w.items(q)
			dir, path := w.directory()
			m, err := export.Files(ctx, dir, w.reader, q, f, &export.Options{Filter: "table:orders", FileRows: 5})
			w.must(err)
			w.wantOK(dir)
			if m.Format != f.Name() || m.Filter != "table:orders" || m.Rows != int64(len(all)) || m.Truncated || len(m.Files) != (len(all)+4)/5 ||
				m.First == nil || m.Last == nil || m.Before <= m.First.Time || m.First.Time < m.Last.Time || m.Changes != 6 {
				w.Errorf("%s: %s", f.Name(), w.json(m))
			}
			names, err := os.ReadDir(path)
			w.must(err)
			for _, n := range names {
				w.wantMode(filepath.Join(path, n.Name()), 0o600)
			}
			w.wantMode(path, 0o700)
			if _, err = export.Files(ctx, dir, w.reader, q, f, nil); !errors.Is(err, export.ErrStarted) {
				w.Errorf("into files that are there: %v", err)
			}
		}
		dir, path := w.directory()
		m, err := export.Files(ctx, dir, w.reader, trail.Query{}, export.NDJSON(), &export.Options{FileBytes: 1000})
		w.must(err)
		w.wantSame("by bytes", w.lines(path, m), w.items(trail.Query{}))
		for _, f := range m.Files[:len(m.Files)-1] {
			if f.Size < 1000 || f.Size > 4000 {
				w.Errorf("%s has %d bytes", f.Name, f.Size)
			}
		}
	})
}

// TestNothing: an export of nothing has a file, and says so.
func TestNothing(t *testing.T) {
	both(t, func(w *world) {
		for _, f := range export.Formats() {
			dir, _ := w.directory()
			m, err := export.Files(ctx, dir, w.reader, trail.Query{CorrelationID: "none"}, f, nil)
			w.must(err)
			w.wantOK(dir)
			if m.Rows != 0 || len(m.Files) != 1 || m.First != nil || m.Before != "" {
				w.Errorf("%s: %s", f.Name(), w.json(m))
			}
		}
	})
}

// TestFilesTruncate: a limit that leaves something out is stated; one that does not, is not.
func TestFilesTruncate(t *testing.T) {
	both(t, func(w *world) {
		w.sellsMany(4)
		all := w.items(trail.Query{})
		for limit := len(all) - 3; limit <= len(all); limit++ {
			dir, path := w.directory()
			m, err := export.Files(ctx, dir, w.reader, trail.Query{Limit: limit}, export.NDJSON(), &export.Options{FileRows: 3})
			w.must(err)
			w.wantSame("limited", w.lines(path, m), all[:limit])
			w.wantOK(dir)
			if more := limit < len(all); m.Truncated != more || strings.Contains(m.TruncatedBy, "rows") != more {
				w.Errorf("limit %d of %d: %s", limit, len(all), w.json(m))
			}
		}
	})
}

// tampering is a change to an export, and what Verify says of it.
type tampering struct {
	name string
	do   func(w *world, path string)
	want map[export.FaultKind]string // by kind, the file
}

func edit(name string, change func(doc []byte) []byte) func(w *world, path string) {
	return func(w *world, path string) {
		w.Helper()
		file := filepath.Join(path, name)
		doc, err := os.ReadFile(file)
		w.must(err)
		changed := change(slices.Clone(doc))
		if string(changed) == string(doc) {
			w.Fatalf("%s was not changed", name)
		}
		w.must(os.WriteFile(file, changed, 0o600))
	}
}

func remove(name string) func(w *world, path string) {
	return func(w *world, path string) { w.Helper(); w.must(os.Remove(filepath.Join(path, name))) }
}

func swap(old, now string) func(doc []byte) []byte {
	return func(doc []byte) []byte { return []byte(strings.Replace(string(doc), old, now, 1)) }
}

// forged changes the manifest and makes SHA256SUMS fit.
func forged(change func(m *export.Manifest)) func(w *world, path string) {
	return func(w *world, path string) {
		w.Helper()
		var m export.Manifest
		doc, err := os.ReadFile(filepath.Join(path, export.ManifestName))
		w.must(err)
		w.must(json.Unmarshal(doc, &m))
		change(&m)
		doc, err = json.Marshal(m)
		w.must(err)
		w.must(os.WriteFile(filepath.Join(path, export.ManifestName), doc, 0o600))
		dir, err := export.OpenDirectory(path)
		w.must(err)
		sum, err := export.ManifestSHA256(ctx, dir)
		w.must(errors.Join(err, dir.Close()))
		var b strings.Builder
		for _, f := range m.Files {
			b.WriteString(f.SHA256 + "  " + f.Name + "\n")
		}
		b.WriteString(sum + "  " + export.ManifestName + "\n")
		w.must(os.WriteFile(filepath.Join(path, export.SumsName), []byte(b.String()), 0o600))
	}
}

var tamperings = []tampering{
	{"a value", edit("part-000002.ndjson", swap("alice", "mikel")), map[export.FaultKind]string{export.Changed: "part-000002.ndjson"}},
	{"a row less", edit("part-000001.ndjson", func(doc []byte) []byte { return doc[strings.IndexByte(string(doc), '\n')+1:] }), map[export.FaultKind]string{export.Changed: "part-000001.ndjson"}},
	{"a byte more", edit("part-000003.ndjson", func(doc []byte) []byte { return append(doc, '\n') }), map[export.FaultKind]string{export.Changed: "part-000003.ndjson"}},
	{"an empty file", edit("part-000001.ndjson", func([]byte) []byte { return nil }), map[export.FaultKind]string{export.Changed: "part-000001.ndjson"}},
	{"a file gone", remove("part-000002.ndjson"), map[export.FaultKind]string{export.Missing: "part-000002.ndjson"}},
	{"a file more", func(w *world, path string) {
		w.must(os.WriteFile(filepath.Join(path, "part-000009.ndjson"), nil, 0o600))
	}, map[export.FaultKind]string{export.Extra: "part-000009.ndjson"}},
	{"files exchanged", func(w *world, path string) {
		for _, n := range [][2]string{{"1", "x"}, {"2", "1"}, {"x", "2"}} {
			w.must(os.Rename(filepath.Join(path, "part-00000"+n[0]+".ndjson"), filepath.Join(path, "part-00000"+n[1]+".ndjson")))
		}
	}, map[export.FaultKind]string{export.Changed: "part-000001.ndjson"}},
	{"no manifest", remove(export.ManifestName), map[export.FaultKind]string{export.Missing: export.ManifestName}},
	{"the manifest's filter", edit(export.ManifestName, swap(`"filter": "all"`, `"filter": "al"`)), map[export.FaultKind]string{export.ManifestChanged: export.ManifestName}},
	{"truncation hidden", edit(export.ManifestName, swap(`"truncated": true`, `"truncated": false`)), map[export.FaultKind]string{export.ManifestChanged: export.ManifestName}},
	{"the manifest cut off", edit(export.ManifestName, func(doc []byte) []byte { return doc[:len(doc)/2] }), map[export.FaultKind]string{export.ManifestChanged: export.ManifestName}},
	{"a later version", edit(export.ManifestName, swap(`"version": 1`, `"version": 9`)), map[export.FaultKind]string{export.ManifestChanged: export.ManifestName}},
	{"no sums", remove(export.SumsName), map[export.FaultKind]string{export.Missing: export.SumsName}},
	{"another sum", edit(export.SumsName, func(doc []byte) []byte { doc[0] ^= 1; return doc }), map[export.FaultKind]string{export.ManifestChanged: "part-000001.ndjson"}},
	{"a sum more", edit(export.SumsName, func(doc []byte) []byte { return append(doc, "00  x\n"...) }), map[export.FaultKind]string{export.ManifestChanged: export.SumsName}},
	{"the hash of another file", forged(func(m *export.Manifest) { m.Files[0].SHA256 = m.Files[1].SHA256 }), map[export.FaultKind]string{export.Changed: "part-000001.ndjson"}},
	{"other counts", forged(func(m *export.Manifest) { m.Rows++ }), map[export.FaultKind]string{export.Miscounted: export.ManifestName}},
	{"other counts of a file", forged(func(m *export.Manifest) {
		m.Files[1].Rows, m.Files[1].Actions = m.Files[1].Rows-1, m.Files[1].Actions-1
		m.Rows, m.Actions, m.Truncated = m.Rows-1, m.Actions-1, false
	}), map[export.FaultKind]string{export.Miscounted: "part-000002.ndjson"}},
	{"files in another order", forged(func(m *export.Manifest) { m.Files[0], m.Files[1] = m.Files[1], m.Files[0] }), map[export.FaultKind]string{export.Disordered: "part-000002.ndjson"}},
	{"a file left out", forged(func(m *export.Manifest) {
		last := m.Files[2]
		m.Files, m.Last, m.Truncated = m.Files[:2], m.Files[1].Last, false
		m.Rows, m.Actions, m.Changes = m.Rows-last.Rows, m.Actions-last.Actions, m.Changes-last.Changes
	}), map[export.FaultKind]string{export.Extra: "part-000003.ndjson"}},
	{"another end", forged(func(m *export.Manifest) { m.Last.ID = "x" }), map[export.FaultKind]string{export.Disordered: export.ManifestName}},
}

// TestVerify: each way to tamper is found, and named.
func TestVerify(t *testing.T) {
	on(t, func(w *world) {
		w.sellsMany(5)
		for _, c := range tamperings {
			dir, path := w.directory()
			_, err := export.Files(ctx, dir, w.reader, trail.Query{Limit: 12}, export.NDJSON(), &export.Options{Filter: "all", FileRows: 4})
			w.must(err)
			w.wantOK(dir)
			c.do(w, path)
			report, err := export.Verify(ctx, dir)
			w.must(err)
			for kind, name := range c.want {
				if !slices.ContainsFunc(report.Faults, func(f export.Fault) bool { return f.Kind == kind && f.Name == name && f.Text != "" }) {
					w.Errorf("%s: %v, want %s of %s", c.name, report.Faults, kind, name)
				}
			}
		}
	}, dbtest.PQ)
}

// TestResumeRefuses what was started otherwise.
func TestResumeRefuses(t *testing.T) {
	on(t, func(w *world) {
		w.sellsMany(2)
		dir, path := w.directory()
		if _, err := export.Resume(ctx, dir, w.reader, export.Formats(), nil); !errors.Is(err, export.ErrNotStarted) {
			w.Errorf("nothing: %v", err)
		}
		if !w.dies(order{Driver: w.e.Driver, Dialect: w.e.Dialect, DSN: w.dsn, Dir: path, FileRows: 2, KillAt: 20}) {
			w.Fatal("it was not killed")
		}
		report, err := export.Verify(ctx, dir)
		w.must(err)
		if report.OK() || !strings.Contains(report.Faults[0].Text, "not finished") {
			w.Errorf("what is not finished: %v", report.Faults)
		}
		if _, err = export.Resume(ctx, dir, w.reader, []export.Format{export.CSV()}, nil); err == nil || !strings.Contains(err.Error(), "ndjson") {
			w.Errorf("another format: %v", err)
		}
		w.must(os.Remove(filepath.Join(path, "part-000001.ndjson")))
		if _, err = export.Resume(ctx, dir, w.reader, export.Formats(), nil); err == nil || !strings.Contains(err.Error(), "part-000001.ndjson is missing") {
			w.Errorf("a file is gone: %v", err)
		}
	}, dbtest.PQ)
}

// TestLaterVersion refuses to resume, and to tell the plan of, what a later version has written, finished or not.
func TestLaterVersion(t *testing.T) {
	on(t, func(w *world) {
		w.sells("alice")
		for _, name := range []string{export.ManifestName, export.ProgressName} {
			dir, path := w.directory()
			w.must(os.WriteFile(filepath.Join(path, name), []byte(`{"version": 2, "format": "ndjson", "format_version": 1}`), 0o600))
			_, err := export.Resume(ctx, dir, w.reader, export.Formats(), nil)
			_, started := export.Started(ctx, dir)
			for _, err := range []error{err, started} {
				if err == nil || !strings.Contains(err.Error(), name+": it has version 2, but this program reads version 1") {
					w.Errorf("%s: %v", name, err)
				}
			}
		}
	}, dbtest.PQ)
}

// TestFilesRefuses sizes that no file can have, before it writes anything.
func TestFilesRefuses(t *testing.T) {
	on(t, func(w *world) {
		for _, o := range []export.Options{{FileRows: -1}, {FileBytes: -1}} {
			dir, path := w.directory()
			_, err := export.Files(ctx, dir, w.reader, trail.Query{}, export.NDJSON(), &o)
			if err == nil || !strings.Contains(err.Error(), "zero means the default") {
				w.Errorf("%+v: %v", o, err)
			}
			if list, err := os.ReadDir(path); err != nil || len(list) != 0 {
				w.Errorf("%+v left %v, %v", o, list, err)
			}
		}
	}, dbtest.PQ)
}
