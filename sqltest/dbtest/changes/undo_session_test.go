package changes_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestUndoNullsInArrays: where the session has array_nulls = off, an undo writes NULL in arrays all the same, and finds rows by such
// arrays, also in what is made of arrays.
func TestUndoNullsInArrays(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE DOMAIN d AS text[]", "CREATE TYPE c AS (a text[], n int)", "CREATE TABLE t (id text[] PRIMARY KEY, a text[], d d, c c)")
		w.capture(capture.Table{Name: "t"})
		w.exec(`INSERT INTO t VALUES ('{NULL,"NULL",a}', '{NULL}', '{NULL,b}', ROW(ARRAY[NULL, 'NULL'], 1))`, `UPDATE t SET a = '{"NULL"}'`)
		before := w.content("t")
		w.exec("DELETE FROM t")
		w.db.SetMaxOpenConns(1)
		w.exec("SET array_nulls = off")
		u := w.undoLast()
		w.clean(u)
		w.must(w.run(u))
		if got := w.content("t"); got != before {
			t.Errorf("the table is\n%s\nand was\n%s", got, before)
		}
		w.exec(`UPDATE t SET a = ARRAY[NULL]`)
		u = w.undoLast()
		w.clean(u)
		w.must(w.run(u))
		if got := w.content("t"); got != before {
			t.Errorf("the table is\n%s\nand was\n%s", got, before)
		}
	})
}

// TestUndoRules: an undo warns of the rules that rewrite its statements, and of no others.
func TestUndoRules(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, v int, gone bool NOT NULL DEFAULT false)", "CREATE TABLE log (id int)", "CREATE RULE soft AS ON DELETE TO t DO INSTEAD UPDATE t SET gone = true WHERE id = OLD.id",
			"CREATE RULE noted AS ON UPDATE TO t DO ALSO INSERT INTO log VALUES (OLD.id)", "CREATE RULE off AS ON UPDATE TO t DO INSTEAD NOTHING", "ALTER TABLE t DISABLE RULE off")
		w.capture(capture.Table{Name: "t"})
		for _, c := range []struct{ do, want string }{
			{"INSERT INTO t VALUES (1, 1)", `the rule "soft" of "public"."t" does something instead of a DELETE: the statement may affect no row, and then undoes nothing`},
			{"UPDATE t SET v = 2", `the rule "noted" of "public"."t" does something beside an UPDATE`},
		} {
			w.exec(c.do)
			if got := strings.Join(w.undoLast().Warnings, "\n"); got != c.want {
				t.Errorf("the undo of %s warns of %q, want %q", c.do, got, c.want)
			}
		}
	})
}
