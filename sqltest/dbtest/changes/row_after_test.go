package changes_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestRowAfterOfItsTable: a change is one of its table, whatever others of the transaction have its key and its time, or
// which table has its name now.
func TestRowAfterOfItsTable(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "CREATE TABLE u (id int PRIMARY KEY, a int)")
		tables := []capture.Table{{Name: "t"}, {Name: "u"}}
		w.capture(tables...)
		w.exec("INSERT INTO t VALUES (1, 1); INSERT INTO u VALUES (1, 2)", "UPDATE threadline.audit_changes SET captured_at = tx_started_at",
			"DROP TABLE t", "CREATE TABLE t (id int PRIMARY KEY, a int)", "ALTER TABLE u RENAME TO v")
		tables[1].Name = "v"
		w.capture(tables...)
		w.exec("INSERT INTO t VALUES (1, 3)", "ALTER TABLE v ADD b int", "UPDATE v SET a = 4")
		var got []string
		for _, c := range w.all(changes.Query{OldestFirst: true}) {
			row, err := w.store.RowAfter(ctx, c)
			w.must(err)
			got = append(got, c.Table+" as "+row.String())
		}
		want := []string{
			"t as \"public\".\"t\" (1): id: 1; a: 1", "u as \"public\".\"u\" (1): id: 1; a: 2",
			"t as \"public\".\"t\" (1): id: 1; a: 3", "v as \"public\".\"v\" (1): id: 1; a: 4; b: NULL",
		}
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i] != want[i] {
				w.Fatalf("the rows are\n%q\nwant\n%q", got, want)
			}
		}
	}, dbtest.PGX)
}

// TestRowAsOfDriftedRenamed: the columns of a change that was kept while the table did not fit its capture are known by
// their numbers, too, when they have changed their names since.
func TestRowAsOfDriftedRenamed(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a text, b text)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, '1', '2')", "ALTER TABLE t ADD c text", "UPDATE t SET c = '3'", "ALTER TABLE t RENAME a TO z", "ALTER TABLE t RENAME b TO a")
		w.capture(capture.Table{Name: "t"})
		row, err := w.store.RowAsOf(ctx, "t", w.moment(), "1")
		w.must(err)
		if got, want := row.String(), `"public"."t" (1): id: 1; z: 1; a: 2; c: 3`; got != want {
			w.Errorf("the row is %s, want %s", got, want)
		}
	}, dbtest.PGX)
}
