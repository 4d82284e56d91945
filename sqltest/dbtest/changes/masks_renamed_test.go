package changes_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

type leaf struct {
	name     string
	setup    []string
	captured []string // once p is captured
}

// leaves are partitions of p that number their columns otherwise than p does. In each, note has the number that
// ssn has in p, so that to confuse the two keeps the one and loses the other.
var leaves = []leaf{
	{name: "created after a DROP COLUMN", setup: []string{
		"CREATE TABLE p (x int, id int PRIMARY KEY, ssn {type}, note text) PARTITION BY RANGE (id)", "ALTER TABLE p DROP x", "CREATE TABLE leaf PARTITION OF p FOR VALUES FROM (0) TO (9)",
	}},
	{name: "attached", setup: []string{
		"CREATE TABLE p (id int PRIMARY KEY, ssn {type}, note text) PARTITION BY RANGE (id)", "CREATE TABLE leaf (ssn {type}, note text, id int PRIMARY KEY)", "ALTER TABLE p ATTACH PARTITION leaf FOR VALUES FROM (0) TO (9)",
	}},
	{name: "of a partition", setup: []string{
		"CREATE TABLE p (x int, id int PRIMARY KEY, ssn {type}, note text) PARTITION BY RANGE (id)", "ALTER TABLE p DROP x",
		"CREATE TABLE middle (id int PRIMARY KEY, note text, ssn {type}) PARTITION BY RANGE (id)", "ALTER TABLE p ATTACH PARTITION middle FOR VALUES FROM (0) TO (9)", "CREATE TABLE leaf (ssn {type}, id int PRIMARY KEY, note text)",
		"ALTER TABLE middle ATTACH PARTITION leaf FOR VALUES FROM (0) TO (9)",
	}},
	{name: "of a table that became a partition of its successor", setup: []string{
		"CREATE TABLE p (id int PRIMARY KEY, ssn {type}, note text) PARTITION BY RANGE (id)", "CREATE TABLE leaf (ssn {type}, note text, id int PRIMARY KEY)", "ALTER TABLE p ATTACH PARTITION leaf FOR VALUES FROM (0) TO (9)",
	}, captured: []string{
		"ALTER TABLE p RENAME TO former", "CREATE TABLE p (ssn {type}, note text, id int PRIMARY KEY) PARTITION BY RANGE (id)", "ALTER TABLE p ATTACH PARTITION former FOR VALUES FROM (0) TO (9)",
	}},
}

// hidden are the ways in which a capture of p keeps no ssn.
var hidden = map[string]capture.Table{
	"masked":   {Name: "p", Mask: []string{"ssn"}},
	"hashed":   {Name: "p", Hash: []string{"ssn"}},
	"excluded": {Name: "p", Exclude: []string{"ssn"}},
}

// wantHidden wants that of an INSERT, an UPDATE and a DELETE in p, of which ssn is now called secret, nothing of the
// secret is kept, and all of the rest under the key.
func (w *world) wantHidden(what, secret string) {
	w.Helper()
	w.exec("DELETE FROM threadline.audit_changes", "INSERT INTO p (id, "+secret+", note) VALUES (1, 'secret-1', 'note-1')", "UPDATE p SET "+secret+" = 'secret-2', note = 'note-2'", "DELETE FROM p")
	all := w.text("SELECT string_agg(c::text, E'\n' ORDER BY lsn) FROM threadline.audit_changes c")
	if strings.Contains(all, "secret") {
		w.Errorf("%s: the secret is in\n%s", what, all)
	}
	const notes = "(SELECT string_agg(n[1], '' ORDER BY i) FROM regexp_matches(concat(old_row, new_row), 'note-(.)', 'g') WITH ORDINALITY m (n, i))"
	const want = "I1(1) U12(1) D2(1)"
	if got := w.text("SELECT string_agg(concat(op, " + notes + ", key), ' ' ORDER BY lsn) FROM threadline.audit_changes"); got != want {
		w.Errorf("%s: the notes and keys are %s, want %s, of\n%s", what, got, want, all)
	}
	if got := w.text("SELECT string_agg(reason, ' ') FROM threadline.audit_gaps"); got != "" {
		w.Errorf("%s: gaps: %s", what, got)
	}
}

// eachHidden captures p anew for each way to keep no ssn in a leaf, and calls f.
func (w *world) eachHidden(of leaf, typ string, f func(what string)) {
	w.Helper()
	all := func(queries []string) {
		for _, q := range queries {
			w.exec(strings.ReplaceAll(q, "{type}", typ))
		}
	}
	for how, table := range hidden {
		w.exec("DROP SCHEMA threadline CASCADE", "DROP TABLE IF EXISTS p")
		all(of.setup)
		w.must(w.installer().Migrate(ctx))
		w.capture(table)
		all(of.captured)
		f(how + " " + typ + " in a leaf " + of.name)
	}
}

// TestHiddenRenamed: until the next plan, a column that is not to be kept is not under another name either, in partitions that
// number their columns otherwise than their parent.
func TestHiddenRenamed(t *testing.T) {
	with(t, func(w *world) {
		for _, leaf := range leaves {
			// The one may be long, and so is measured by any statement.
			for _, typ := range []string{"text", "varchar(20)"} {
				w.eachHidden(leaf, typ, func(what string) {
					w.wantHidden(what, "ssn")
					w.exec("ALTER TABLE p RENAME ssn TO tax_id")
					w.wantHidden(what+", renamed", "tax_id")
					w.exec("ALTER TABLE p ADD ssn int")
					w.wantHidden(what+", renamed, and its name given to another", "tax_id")
				})
			}
		}
	}, dbtest.PGX)
}

// TestHiddenExchanged: nor is it if it has exchanged its name with another column, although the names are all there.
func TestHiddenExchanged(t *testing.T) {
	with(t, func(w *world) {
		for _, leaf := range leaves[:3] {
			w.eachHidden(leaf, "text", func(what string) {
				w.exec("ALTER TABLE p RENAME ssn TO other", "ALTER TABLE p RENAME note TO ssn", "ALTER TABLE p RENAME other TO note",
					"INSERT INTO p (id, note, ssn) VALUES (1, 'secret-1', 'x')", "UPDATE p SET note = 'secret-2', ssn = 'y'", "DELETE FROM p")
				if got := w.text("SELECT string_agg(c::text, E'\n' ORDER BY lsn) FROM threadline.audit_changes c"); strings.Contains(got, "secret") {
					w.Errorf("%s: kept are\n%s", what, got)
				}
				if got := w.text("SELECT string_agg(concat(op, key), ' ' ORDER BY lsn) FROM threadline.audit_changes"); got != "I(1) U(1) D(1)" {
					w.Errorf("%s: the changes are %s", what, got)
				}
			})
		}
	}, dbtest.PGX)
}

// TestHiddenKey: a column that is not to be kept is not the key either, when it has the key's name.
func TestHiddenKey(t *testing.T) {
	with(t, func(w *world) {
		for _, leaf := range leaves[:3] {
			w.eachHidden(leaf, "text", func(what string) {
				w.exec("ALTER TABLE p RENAME id TO former_id", "ALTER TABLE p RENAME ssn TO id",
					"INSERT INTO p (former_id, id, note) VALUES (1, 'secret-1', 'note-1')", "UPDATE p SET id = 'secret-2', note = 'note-2'", "DELETE FROM p")
				if got := w.text("SELECT string_agg(c::text, E'\n' ORDER BY lsn) FROM threadline.audit_changes c"); strings.Contains(got, "secret") || strings.Count(got, "note-") != 4 {
					w.Errorf("%s: kept are\n%s", what, got)
				}
			})
		}
	}, dbtest.PGX)
}

// TestHiddenRestored: a restore gives tables other OIDs, and their columns the numbers that they had if none was dropped.
func TestHiddenRestored(t *testing.T) {
	with(t, func(w *world) {
		for _, q := range leaves[1].setup {
			w.exec(strings.ReplaceAll(q, "{type}", "text"))
		}
		w.capture(hidden["masked"])
		r := w.elsewhere(dbtest.Postgres(t))
		w.dumpTo(r)
		r.exec("ALTER TABLE p RENAME ssn TO tax_id")
		r.wantHidden("restored", "tax_id")
	}, dbtest.PQ)
}
