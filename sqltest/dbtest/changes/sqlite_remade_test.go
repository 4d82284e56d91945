package changes_test

import (
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestSQLiteColumnIsRemade: a column that was dropped and made again under its name, of another type or the same, is another
// column. What the old one had is not known afterwards, surely not by what the new one has, and not undone in it.
func TestSQLiteColumnIsRemade(t *testing.T) {
	for name, typ := range map[string]string{"another type": "JSON DEFAULT '[]' NOT NULL", "the same type": "TEXT DEFAULT '' NOT NULL"} {
		t.Run(name, func(t *testing.T) {
			w := lite(t)
			w.exec("CREATE TABLE books (id INTEGER PRIMARY KEY, a TEXT, kind "+typ+")", "INSERT INTO books VALUES (1, 'a', 'before'), (2, 'a', 'before')")
			w.capture(capture.Table{Name: "books"})
			app, _ := liteApp(w)
			exec := func(queries ...string) {
				w.Helper()
				for _, q := range queries {
					_, err := app.ExecContext(ctx, q)
					w.must(err)
				}
			}
			exec("UPDATE books SET kind = '' WHERE id = 2", "UPDATE books SET kind = 'before' WHERE id = 2", "UPDATE books SET a = 'b'")
			between := w.liteClock()
			// As PocketBase does.
			exec("BEGIN", "ALTER TABLE books RENAME COLUMN kind TO _kind", "ALTER TABLE books ADD COLUMN kind TEXT DEFAULT '' NOT NULL",
				"UPDATE books SET kind = 'before' WHERE id = 2", "ALTER TABLE books DROP COLUMN _kind", "COMMIT")
			kind := func(at time.Time, id string) string {
				row, err := w.store.RowAsOf(ctx, "books", at, id)
				w.must(err)
				for _, v := range row.Values {
					if v.Name == "kind" && !v.Unknown {
						return v.Value.String()
					}
				}
				return "unknown"
			}
			if got := kind(between, "1"); got != "unknown" {
				t.Errorf("row 1 had %q, which no change says", got)
			}
			if got := kind(between, "2"); got != "before" {
				t.Errorf("row 2 had %q, and its last change says before", got)
			}
			if got := kind(w.liteClock(), "1"); got != "" {
				t.Errorf("row 1 has %q", got)
			}
			history, err := w.store.History(ctx, "books", "2")
			w.must(err)
			u, err := undo.Change(ctx, w.store, history[1])
			w.must(err)
			if len(u.Refusals) != 1 || u.Refusals[0].Reason != "dropped or renamed since" {
				t.Errorf("what the old column had is written to the new one:\n%s", u)
			}
			u, err = undo.Change(ctx, w.store, history[len(history)-1])
			w.must(err)
			w.clean(u)
		})
	}
}

// TestSQLiteColumnIsCapturedAgain: a column that was excluded for a while is the same.
func TestSQLiteColumnIsCapturedAgain(t *testing.T) {
	w := lite(t)
	w.exec("CREATE TABLE books (id INTEGER PRIMARY KEY, a, b)", "INSERT INTO books VALUES (1, 'a', 'b')")
	w.capture(capture.Table{Name: "books"})
	w.exec("UPDATE books SET a = 'c'")
	before := w.liteClock()
	for range 2 {
		w.capture(capture.Table{Name: "books", Exclude: []string{"b"}})
		w.capture(capture.Table{Name: "books"})
	}
	w.exec("UPDATE books SET b = 'd'")
	row, err := w.store.RowAsOf(ctx, "books", before, "1")
	w.must(err)
	if len(row.Values) != 3 || row.Values[2].Unknown || row.Values[2].Value.String() != "b" {
		t.Errorf("the row was %v", row.Values)
	}
}
