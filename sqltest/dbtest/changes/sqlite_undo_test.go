package changes_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
)

// liteInOne executes queries in one transaction with a number, as the driver does.
func (w *world) liteInOne(mark int64, queries ...string) {
	w.Helper()
	queries = slices.Concat([]string{fmt.Sprintf("UPDATE aftercommit_transaction SET tx_id = %d", mark)}, queries, []string{"UPDATE aftercommit_transaction SET tx_id = NULL"})
	w.inOne(queries...)
}

// liteRun executes an undo in one transaction with a number.
func (w *world) liteRun(mark int64, u *undo.Script) error {
	number := func(n any) undo.Statement {
		return undo.Statement{SQL: fmt.Sprintf("UPDATE aftercommit_transaction SET tx_id = %v", n), Rows: 1}
	}
	numbered := *u
	numbered.Statements = slices.Concat([]undo.Statement{number(mark)}, u.Statements, []undo.Statement{number("NULL")})
	return w.run(&numbered)
}

// liteUndo is the undo of a transaction.
func (w *world) liteUndo(mark int64) *undo.Script {
	w.Helper()
	u, err := undo.Transaction(ctx, w.store, mark, time.Time{})
	w.must(err)
	return u
}

// liteContent is what is in tables, to the bit, in one text.
func (w *world) liteContent(tables ...string) string {
	w.Helper()
	var all []string
	for _, t := range tables {
		var rows []string
		for text, n := range w.live(t) {
			rows = append(rows, fmt.Sprintf("%dx %s", n, text))
		}
		slices.Sort(rows)
		all = append(all, t+":\n\t"+strings.Join(rows, "\n\t"))
	}
	return strings.Join(all, "\n")
}

// notOnSQLite are those of undoOrder that need what SQLite has not.
var notOnSQLite = []string{"unique, deferrable", "unique, deferrable, swapped", "exclusion", "each other, deferred", "each other, deleted", "each other, inserted", "generated and identity", "partitions", "no key", "nothing in between, no key", "names", "set default", "key, set default"}

// liteOrder are transactions whose undo needs an order, on SQLite.
var liteOrder = map[string]struct {
	setup, actions string
	do             []string
}{
	"set default":            {strings.ReplaceAll(undoTree, "a int REFERENCES", "a int DEFAULT 2 REFERENCES"), "ON DELETE SET DEFAULT ON UPDATE SET DEFAULT", []string{"DELETE FROM a WHERE id = 1"}},
	"each other":             {"CREATE TABLE a (id INTEGER PRIMARY KEY, b INT REFERENCES b); CREATE TABLE b (id INTEGER PRIMARY KEY, a INT NOT NULL REFERENCES a ON DELETE CASCADE)", "", []string{"INSERT INTO a VALUES (1, NULL)", "INSERT INTO b VALUES (1, 1)", "UPDATE a SET b = 1"}},
	"each other, deferred":   {"CREATE TABLE a (id INTEGER PRIMARY KEY, b INT REFERENCES b DEFERRABLE INITIALLY DEFERRED); CREATE TABLE b (id INTEGER PRIMARY KEY, a INT NOT NULL REFERENCES a DEFERRABLE INITIALLY DEFERRED)", "", []string{"INSERT INTO a VALUES (1, 1)", "INSERT INTO b VALUES (1, 1)"}},
	"REPLACE":                {"CREATE TABLE a (id INTEGER PRIMARY KEY, v TEXT UNIQUE ON CONFLICT REPLACE, w UNIQUE ON CONFLICT REPLACE); CREATE TABLE b (id INT PRIMARY KEY); INSERT INTO a VALUES (1, 'x', 1), (2, 'y', 2), (3, 'z', 3)", "", []string{"INSERT INTO a VALUES (4, 'x', 2)", "UPDATE a SET v = 'z' WHERE id = 4", "REPLACE INTO a VALUES (4, 'again', NULL)"}},
	"NOCASE":                 {"CREATE TABLE a (k TEXT COLLATE NOCASE PRIMARY KEY, v) WITHOUT ROWID; CREATE TABLE b (id INT PRIMARY KEY, a TEXT REFERENCES a ON UPDATE CASCADE ON DELETE CASCADE); INSERT INTO a VALUES ('x', 1), ('y', 2); INSERT INTO b VALUES (1, 'X'), (2, 'y')", "", []string{"UPDATE a SET k = 'Y2' WHERE k = 'y'", "UPDATE a SET k = 'X' WHERE k = 'x'", "DELETE FROM a WHERE k = 'x'", "INSERT INTO a VALUES ('x', 3)"}},
	"affinity":               {"CREATE TABLE a (k PRIMARY KEY, v); CREATE TABLE b (id INT PRIMARY KEY, a REFERENCES a ON DELETE CASCADE); INSERT INTO a VALUES (1, 1), ('1', 1.0), (x'31', '1'); INSERT INTO b VALUES (1, 1.0), (2, '1'), (3, x'31')", "", []string{"UPDATE a SET k = 1.0 WHERE k = 1", "DELETE FROM a WHERE k = '1'", "INSERT INTO a VALUES (2, 0.1)", "UPDATE b SET a = 2 WHERE a = 1"}},
	"generated":              {"CREATE TABLE a (id INTEGER PRIMARY KEY, v, twice GENERATED ALWAYS AS (v * 2) STORED, thrice AS (v * 3) UNIQUE); CREATE TABLE b (id INT PRIMARY KEY); INSERT INTO a VALUES (1, 1), (2, 2), (3, 3)", "", []string{"DELETE FROM a WHERE v = 1", "UPDATE a SET v = 7 WHERE v = 2", "INSERT INTO a VALUES (9, 9)"}},
	"no key":                 {"CREATE TABLE a (x, y); CREATE TABLE b (id INT PRIMARY KEY); INSERT INTO a VALUES (1, 'x'), (1, 'x'), (1.0, 'x'), (2, NULL)", "", []string{"DELETE FROM a WHERE rowid = 1", "UPDATE a SET y = 'z' WHERE x = 2", "UPDATE a SET x = 3", "INSERT INTO a VALUES (5, NULL), (5, NULL)", "DELETE FROM a WHERE rowid = 2"}},
	"names":                  {`CREATE TABLE a ("N" INT, "undo_check" INT, n2 INT, "a""b" TEXT, "ключ" TEXT, PRIMARY KEY ("N", "ключ")); CREATE TABLE b (id INT PRIMARY KEY); INSERT INTO a VALUES (1, 2, 3, 'x', 'значение'), (2, 2, 3, NULL, '\$ 🙂')`, "", []string{`UPDATE a SET "a""b" = 'new' || char(10) || '-- line', undo_check = 5`, `DELETE FROM a WHERE "N" = 1`}},
	"unique, a cut value":    {"CREATE TABLE a (id INTEGER PRIMARY KEY, v UNIQUE, long); CREATE TABLE b (id INT PRIMARY KEY); INSERT INTO a VALUES (1, 'x', 'short'), (2, 'y', 'short')", "", []string{"UPDATE a SET v = 't', long = replace(hex(zeroblob(40000)), '00', 'long') WHERE id = 1", "UPDATE a SET v = 'x' WHERE id = 2", "UPDATE a SET v = 'y', long = 'short again' WHERE id = 1"}},
	"a column without a row": {"CREATE TABLE a (id INTEGER PRIMARY KEY, v REAL, w); CREATE TABLE b (id INT PRIMARY KEY); INSERT INTO a VALUES (1, 5, 5), (2, 0.1, 5.0), (3, 9e999, 5e-324), (4, NULL, 1.7976931348623157e308), (5, 1e15, 123456789.123456789), (6, -0.30000000000000004, 9007199254740993)", "", []string{"UPDATE a SET v = v * 3, w = w / 7", "DELETE FROM a WHERE id > 2", "UPDATE a SET w = CAST('x' || char(0) || 'y' AS TEXT), v = 0.1 + 0.2"}},
}

// TestSQLiteUndoOrder: the undo of what one transaction has done leads back to what was there before it.
func TestSQLiteUndoOrder(t *testing.T) {
	cases := make(map[string]struct {
		setup, actions string
		do             []string
	})
	for name, c := range undoOrder {
		if !slices.Contains(notOnSQLite, name) {
			cases[name] = c
		}
	}
	for name, c := range liteOrder {
		cases[name+" (SQLite)"] = c
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := lite(t)
			w.exec("PRAGMA foreign_keys = ON")
			for _, q := range strings.Split(strings.ReplaceAll(c.setup, "{actions}", c.actions), "; ") {
				w.exec(q)
			}
			tables := []string{"a", "b"}
			if strings.Contains(c.setup, "TABLE c") {
				tables = append(tables, "c")
			}
			for _, name := range tables {
				w.capture(capture.Table{Name: name})
			}
			before := w.liteContent(tables...)
			w.liteInOne(1, c.do...)
			after := w.liteContent(tables...)
			u := w.liteUndo(1)
			w.clean(u)
			if err := w.liteRun(2, u); err != nil {
				w.Fatalf("%v\n%s", err, u)
			}
			if got := w.liteContent(tables...); got != before {
				w.Errorf("the undo leads to\n%s\nand not to\n%s\n%s", got, before, u)
			}
			if err := w.liteRun(3, u); err == nil {
				w.Errorf("the undo can be executed twice: %s", u)
			}
			// The undo can be undone, here by its script.
			redo := w.liteUndo(2)
			w.clean(redo)
			w.exec(strings.ReplaceAll(redo.String(), ".bail on\n", "")) // which is the shell's
			if got := w.liteContent(tables...); got != after {
				w.Errorf("the undo of the undo leads to\n%s\nand not to\n%s\n%s", got, after, redo)
			}
		})
	}
}

// TestSQLiteUndoWorkload: the undo of all transactions, the last one first, leads through the states that were there in
// between, to the beginning.
func TestSQLiteUndoWorkload(t *testing.T) {
	for _, through := range []string{"the driver", "no driver"} {
		t.Run("through "+through, func(t *testing.T) {
			w := lite(t)
			r := rand.New(rand.NewPCG(dbtest.Seed(t), 5))
			var tables []capture.Table
			var names []string
			for _, table := range liteTables {
				w.exec(table.sql)
				tables, names = append(tables, capture.Table{Name: table.name}), append(names, table.name)
			}
			w.capture(tables...)
			marked := through == "no driver"
			if !marked {
				w.db.Close()
				w.db, _ = liteApp(w)
				w.db.SetMaxOpenConns(1)
				w.store = changes.NewStore(w.db, "sqlite", nil)
			}
			w.exec("PRAGMA foreign_keys = ON")
			type step struct {
				id     int64
				before string
			}
			var steps []step
			const last = "SELECT coalesce(max(seq), 0) FROM threadline_audit_changes WHERE held IS NULL"
			for n := range 40 {
				before, seq := w.liteContent(names...), w.text(last)
				mark := int64(0)
				if marked {
					mark = int64(n + 1)
				}
				w.liteMarked(r, mark)
				if w.text(last) != seq {
					var id int64
					w.must(w.db.QueryRowContext(ctx, "SELECT tx_id FROM threadline_audit_changes WHERE held IS NULL ORDER BY seq DESC LIMIT 1").Scan(&id))
					steps = append(steps, step{id, before})
				}
			}
			for _, s := range slices.Backward(steps) {
				u := w.liteUndo(s.id)
				if len(u.Conflicts)+len(u.Refusals) > 0 {
					w.Errorf("the undo is not clean:\n%s", u)
				}
				if err := w.run(u); err != nil {
					w.Fatalf("%v\n%s", err, u)
				}
				if got := w.liteContent(names...); got != s.before {
					w.Fatalf("the undo leads to\n%s\nand not to\n%s\n%s", got, s.before, u)
				}
			}
			if len(steps) < 10 {
				w.Errorf("only %d transactions were undone", len(steps))
			}
		})
	}
}
