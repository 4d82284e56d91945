package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/export"
)

// TestExport: to stdout and into files, in each format, and verified.
func TestExport(t *testing.T) {
	w := newWorld(t)
	out := w.want(exitOK, "export", "table:orders")
	wantIn(t, out, `"kind","id"`, `"user:bob"`, "status: new → refunded", "card: (masked) → (masked)")
	if strings.Contains(out, "4242") {
		t.Errorf("a masked value is there:\n%s", out)
	}
	// The form of --format json is that of a search.
	items := func(text string) (list []json.RawMessage) {
		var page struct{ Items []json.RawMessage }
		if err := json.Unmarshal([]byte(text), &page); err != nil {
			t.Fatal(err)
		}
		return page.Items
	}
	all := items(w.want(exitOK, "search", "--json", "--limit", "500"))
	ndjson := strings.Split(strings.TrimSpace(w.want(exitOK, "export", "--format", "ndjson")), "\n")
	document := items(w.want(exitOK, "export", "--json"))
	if len(ndjson) != len(all) || len(document) != len(all) {
		t.Fatalf("%d lines, %d items; a search has %d", len(ndjson), len(document), len(all))
	}
	for i := range all {
		if ndjson[i] != string(all[i]) || string(document[i]) != string(all[i]) {
			t.Errorf("exported %s and %s, a search has %s", ndjson[i], document[i], all[i])
		}
	}
	r := run(t, "export", "--max-rows", "2", "--format", "ndjson")
	if strings.Count(r.out, "\n") != 2 || r.code != exitOK {
		t.Errorf("two rows: %d, %s", r.code, r.out)
	}
	wantIn(t, r.err, "Truncated", "2 rows")

	for _, f := range formats() {
		dir := filepath.Join(t.TempDir(), "out")
		wantIn(t, w.want(exitOK, "export", "--format", f.Name(), "--out", dir, "--file-rows", "3", "table:orders"), "files in", "SHA-256 of the manifest: ")
		wantIn(t, w.want(exitOK, "export", "verify", dir), "as they were written")
		wantIn(t, run(t, "export", "--out", dir).err, "has files: add --resume")
		w.want(exitOK, "export", "--out", dir, "--resume", "table:orders")
		wantIn(t, run(t, "export", "--out", dir, "--resume", "table:lines").err, "was started with the words")
		part := filepath.Join(dir, "part-000001"+f.Extension())
		doc, err := os.ReadFile(part)
		if err != nil {
			t.Fatal(err)
		}
		doc[len(doc)/2] ^= 1
		if err = os.WriteFile(part, doc, 0o600); err != nil {
			t.Fatal(err)
		}
		wantIn(t, w.want(exitFinding, "export", "verify", dir), "changed", "part-000001")
		if report := decode[export.Report](w, exitFinding, "export", "verify", dir); len(report.Faults) != 1 || report.Faults[0].Kind != export.Changed {
			t.Errorf("%+v", report)
		}
	}
	dir := filepath.Join(t.TempDir(), "out")
	if e := decode[Exported](w, exitOK, "export", "--out", dir, "--max-rows", "4"); e.Manifest.Rows != 4 || !e.Manifest.Truncated || len(e.SHA256) != 64 {
		t.Errorf("%+v", e)
	}
	wantIn(t, w.want(exitOK, "export", "verify", dir), "Truncated by the limit of 4 rows")
	wantIn(t, w.want(exitFinding, "export", "verify", t.TempDir()), "this is not an export")
	wantIn(t, run(t, "export", "--out", t.TempDir(), "--resume").err, "no export was started")
}

// TestExportMistakes are those of people at a keyboard.
func TestExportMistakes(t *testing.T) {
	noDatabase(t)
	for args, want := range map[string]string{
		"export --format cvs":           `did you mean "csv"?`,
		"export --format parquet":       "give a directory with --out",
		"export --resume":               "--resume needs --out",
		"export --file-rows 5":          "need --out",
		"export --file-size 5x --out d": "is no size",
		"export --max-rows -1":          "must not be negative",
		"export actr:alice":             "Did you mean actor?",
		"export verify":                 "the directory is missing",
		"export verify no_such_dir":     "there is no directory",
		"export --formt csv":            `did you mean "--format"?`,
	} {
		if r := run(t, strings.Fields(args)...); r.code != exitUsage || !strings.Contains(r.err, want) || r.out != "" {
			t.Errorf("threadline %s: %d, %q, %q; want %q", args, r.code, r.err, r.out, want)
		}
	}
	for text, want := range map[string]int64{"": 0, "500KB": 500 << 10, "64mb": 64 << 20, "2GB": 2 << 30, "123": 123, "7B": 7} {
		if n, err := bytesOf(text); n != want || err != nil {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	}
}

// TestExportSQLite: a file is exported like a server.
func TestExportSQLite(t *testing.T) {
	noDatabase(t)
	file := filepath.Join(t.TempDir(), "shop.db")
	w := &world{T: t, dsn: file}
	db := dbtest.Open(t, "sqlite", "file:"+file)
	w.exec(db, "CREATE TABLE orders (id integer PRIMARY KEY, status text)")
	w.want(exitOK, "migrate", "up", "--database-url", file)
	w.want(exitOK, "triggers", "apply", "orders", "--execute", "--database-url", file)
	w.exec(db, "INSERT INTO orders VALUES (42, '=1+1')", "UPDATE orders SET status = 'paid'")
	wantIn(t, w.want(exitOK, "export", "--database-url", file), `"status: =1+1 → paid"`)
	dir := filepath.Join(t.TempDir(), "out")
	w.want(exitOK, "export", "--database-url", file, "--format", "parquet", "--out", dir, "--file-size", "1KB")
	wantIn(t, w.want(exitOK, "export", "verify", dir), "2 rows")
}
