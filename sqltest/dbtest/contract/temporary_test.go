package contract_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestTemporaryAmongWriters: a transaction that has written to temporary tables
// alone is one that has written nothing: its events follow in one of their own, and
// what was asked for its names takes no part in what it sees.
func TestTemporaryAmongWriters(t *testing.T) {
	const (
		scratch = "CREATE TEMP TABLE scratch (id int) | "
		read    = "Begin | SELECT * FROM things | "
		end     = " | ^INSERT INTO things (id) VALUES (1) | !a | Commit"
	)
	rows := []row{
		kept("insert", scratch+read+"INSERT INTO scratch VALUES (1)"+end, "1", "a"),
		kept("with its schema", scratch+read+"INSERT INTO temp.scratch VALUES (1)"+end, "1", "a"),
		kept("from another", scratch+read+"INSERT INTO scratch SELECT id FROM things"+end, "1", "a"),
		kept("returning", scratch+read+"INSERT INTO scratch VALUES (1) RETURNING id"+end, "1", "a"),
		kept("raw", scratch+"BEGIN | SELECT * FROM things | INSERT INTO scratch VALUES (1) | ^INSERT INTO things (id) VALUES (1) | !a | COMMIT", "1", "a"),
		kept("made", read+"CREATE TEMP TABLE scratch (id int) | UPDATE scratch SET id = 2"+end, "1", "a"),
		kept("made as", read+"CREATE TEMP TABLE scratch AS SELECT * FROM things | DELETE FROM scratch"+end, "1", "a"),
		kept("dropped", scratch+read+"DROP TABLE scratch"+end, "1", "a"),
		kept("dropped, with its schema", scratch+read+"DROP TABLE temp.scratch"+end, "1", "a"),
		kept("indexed", scratch+read+"CREATE INDEX by_id ON scratch (id)"+end, "1", "a"),
		kept("indexed, with its schema", scratch+read+"CREATE INDEX temp.by_id ON scratch (id)"+end, "1", "a"),
		kept("hides another", "CREATE TEMP TABLE orders (id int) | "+read+"INSERT INTO orders VALUES (7)"+end, "1", "a"),
		kept("hides one that was written to", "Begin | DELETE FROM things | Commit | CREATE TEMP TABLE things (id int) | Begin | SELECT * FROM main.things | INSERT INTO things VALUES (7)"+end, "1", "a"),
		kept("is back", "CREATE TEMP TABLE orders (id int) | Begin | DROP TABLE orders | DELETE FROM orders | Rollback | "+read+"INSERT INTO orders VALUES (7)"+end, "1", "a"),
		kept("then another", scratch+"Begin | INSERT INTO scratch VALUES (1) | ^INSERT INTO things (id) VALUES (1) | +2 | !a | Commit", "1 2", "a"),
		kept("a trigger, then its table", "Begin | CREATE TEMP TRIGGER note AFTER INSERT ON things BEGIN SELECT 1; END | ^INSERT INTO things (id) VALUES (1) | +2 | !a | Commit", "1 2", "a"),
	}
	withRulesOrNot(t, func(w *world) {
		w.play(newTwin(w.T, w.e), []way{byExec, byQuery, byPrepare}, rows)
	})
}

// withRulesOrNot runs f on SQLite, where tables are captured and where none is.
func withRulesOrNot(t *testing.T, f func(w *world)) {
	t.Helper()
	for name, noRules := range map[string]bool{"rules": false, "no rules": true} {
		t.Run(name, func(t *testing.T) {
			f(newWorld(t, dbtest.SQLite, setup{noRules: noRules}))
		})
	}
}

// TestTemporaryReachesFurther: what writes to something temporary and may reach
// another table has its events in its own transaction. They cannot be written here,
// and so nothing is committed.
func TestTemporaryReachesFurther(t *testing.T) {
	const (
		scratch = "CREATE TEMP TABLE scratch (id int PRIMARY KEY); INSERT INTO scratch VALUES (1); "
		copies  = " BEGIN INSERT INTO things (id) VALUES (2); END"
	)
	tests := map[string]string{
		"a trigger":             scratch + "CREATE TEMP TRIGGER copy AFTER DELETE ON scratch" + copies + "| DELETE FROM scratch",
		"a trigger made inside": scratch + "| CREATE TEMP TRIGGER copy AFTER DELETE ON scratch" + copies + "| DELETE FROM scratch",
		"a cascade's trigger": scratch + `PRAGMA foreign_keys = on; CREATE TEMP TABLE part (of int REFERENCES scratch ON DELETE CASCADE); INSERT INTO part VALUES (1);
			CREATE TEMP TRIGGER copy AFTER DELETE ON part` + copies + "| DELETE FROM scratch",
		"a view":           "CREATE TEMP VIEW scratch AS SELECT * FROM things; CREATE TEMP TRIGGER copy INSTEAD OF INSERT ON scratch" + copies + "| INSERT INTO scratch VALUES (1, '')",
		"hidden":           scratch + "| INSERT INTO main.things (id) VALUES (2)",
		"renamed away":     "CREATE TEMP TABLE things (id int)| ALTER TABLE things RENAME TO scratch| INSERT INTO things (id) VALUES (2)",
		"dropped":          "CREATE TEMP TABLE things (id int)| INSERT INTO things (id) VALUES (1)| DROP TABLE things| INSERT INTO things (id) VALUES (2)",
		"rolled back":      "SELECT 1| SAVEPOINT s| CREATE TEMP TABLE things (id int)| INSERT INTO things (id) VALUES (1)| ROLLBACK TO s| INSERT INTO things (id) VALUES (2)",
		"another, earlier": scratch + "| INSERT INTO things (id) VALUES (2)| INSERT INTO scratch VALUES (2)",
		"in a string":      "CREATE TEMP TABLE things (id int)| DROP TABLE things; INSERT INTO things (id) VALUES (2)",
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			withRulesOrNot(t, func(w *world) {
				w.breakJournal()
				before, inside, _ := strings.Cut(steps, "|")
				conn := w.conn()
				w.must(conn.ExecContext(ctx(), before))
				tx, err := conn.BeginTx(ctx(), nil)
				w.must(err)
				for _, step := range strings.Split(inside, "|") {
					w.must(tx.ExecContext(ctx(), step))
				}
				w.record(tx, "a")
				if err := tx.Commit(); err == nil || !strings.Contains(err.Error(), "broken") {
					w.Errorf("Commit says %v", err)
				}
				w.want("", "", "")
			})
		})
	}
}
