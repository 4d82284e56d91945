package changes_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// rewrites give the rows of t other places in the middle of a transaction, so that several versions of one have the same place.
var rewrites = map[string]string{
	"CLUSTER":     "CLUSTER t USING t_a",
	"ALTER TABLE": "ALTER TABLE t ALTER other TYPE {type}",
	"TRUNCATE":    "TRUNCATE t; INSERT INTO t VALUES (1, 5, 0), (2, 5, 0), (3, 5, 0)",
}

// TestRewritten: the changes of a transaction that rewrites a table, or empties it, are in the order in which they were made, and all of them
// are undone.
func TestRewritten(t *testing.T) {
	for name, rewrite := range rewrites {
		t.Run(name, func(t *testing.T) {
			onPQ(t, func(w *world) {
				w.exec("CREATE TABLE t (id int PRIMARY KEY, a int, other int)", "CREATE INDEX t_a ON t (a DESC)",
					"CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.a > 0 THEN UPDATE t SET a = - a WHERE id = NEW.id; END IF; RETURN NULL; END $$",
					"CREATE TRIGGER a_first AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION again()")
				w.capture(capture.Table{Name: "t"})
				w.exec("INSERT INTO t VALUES (1, -1, 0)")
				again := func(typ string) string { return strings.ReplaceAll(rewrite, "{type}", typ) }
				w.inOne("UPDATE t SET a = 2", "INSERT INTO t VALUES (2, 1, 0), (3, 1, 0)", "UPDATE t SET a = 10 + id", again("bigint"),
					"UPDATE t SET a = 20 + id", "UPDATE t SET a = -30 - id", "UPDATE t SET id = id + 10 WHERE id = 3", again("text"),
					"UPDATE t SET a = 40 + id", "UPDATE t SET a = -50 - id", again("varchar"), "DELETE FROM t WHERE id = 2")
				w.checkReplay("t", "id")
				w.checkReplayOf("t", "13")
				undo := w.undoLast()
				if name == "TRUNCATE" {
					return // which is not undone
				}
				w.must(w.run(undo))
				if got := w.text("SELECT string_agg(concat(id, ' ', a), ', ' ORDER BY id) FROM t"); got != "1 -1" {
					w.Errorf("after the undo the table has %s:\n%s", got, undo)
				}
			})
		})
	}
}

// TestSamePlace: a change does not follow one that was made later in the place of the row that it has replaced, nor one from before a TRUNCATE.
func TestSamePlace(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)",
			"CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET a = - a WHERE id = NEW.id; RETURN NULL; END $$",
			"CREATE TRIGGER a_first AFTER INSERT ON t FOR EACH ROW WHEN (NEW.a > 0) EXECUTE FUNCTION again()")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 0)", "UPDATE t SET a = 1", "UPDATE t SET a = 2") // the third place
		w.inOne("UPDATE t SET a = 3", "CLUSTER t USING t_pkey", "UPDATE t SET a = 4", "UPDATE t SET a = 5")
		w.checkReplay("t", "id")
		w.exec("TRUNCATE t")
		w.inOne("INSERT INTO t VALUES (1, 0)", "TRUNCATE t", "INSERT INTO t VALUES (1, 1)")
		w.checkReplay("t", "id")
	})
}

// checkReplayOf checks that each change of a row begins with what those before have left.
func (w *world) checkReplayOf(table string, key ...string) {
	w.Helper()
	history, err := w.store.History(ctx, table, key...)
	w.must(err)
	w.replay(table, key, history)
}
