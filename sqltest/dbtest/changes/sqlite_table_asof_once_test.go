package changes_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// liteLoop reads t as of now, calling do with how many rows there have been, and fails the test unless the rows are those of the beginning,
// each once.
func (w *world) liteLoop(what string, do map[int][]string) {
	w.Helper()
	want := strings.Fields(w.text("SELECT group_concat(id || '|' || a, ' ') FROM t"))
	slices.Sort(want)
	at, n := w.liteClock(), 0
	var got []string
	for row, err := range w.store.TableAsOf(ctx, "t", at) {
		if row == nil || err != nil {
			w.Fatalf("%s: after %d rows: %v, %v", what, n, row, err)
		}
		line := ""
		for _, v := range row.Values {
			if v.Name == "id" || v.Name == "a" {
				line += "|" + v.String()
			}
		}
		got = append(got, line[1:])
		n++
		w.exec(do[n]...)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		w.Errorf("%s: %d rows, want %d:\n%q\nwant\n%q", what, len(got), len(want), got, want)
	}
}

// TestSQLiteTableAsOfOnce: a row that no change named when the loop began comes once and as it was, if one names it while the loop goes on:
// before the loop gets to its place or behind it, among the keys that are read first or among the rows.
func TestSQLiteTableAsOfOnce(t *testing.T) {
	const rows = 350
	for name, of := range map[string]string{
		"rowid":     "(id INTEGER PRIMARY KEY, a)",
		"text":      "(id TEXT PRIMARY KEY, a)",
		"downwards": "(id TEXT COLLATE NOCASE PRIMARY KEY DESC, a) WITHOUT ROWID",
		"real":      "(id REAL PRIMARY KEY, a)",
		"several":   "(id, b NOT NULL DEFAULT 'x', a, PRIMARY KEY (b, id))",
	} {
		t.Run(name, func(t *testing.T) {
			set := func(what string, ids ...int) (queries []string) {
				for _, id := range ids {
					queries = append(queries, fmt.Sprintf("UPDATE t SET "+what+" WHERE id = %d", 1000+id))
				}
				return queries
			}
			remove := func(id int) string { return fmt.Sprintf("DELETE FROM t WHERE id = %d", 1000+id) }
			add := func(id int) string { return fmt.Sprintf("INSERT INTO t (id, a) VALUES (%d, 'again')", 1000+id) }
			w := lite(t)
			w.exec("CREATE TABLE t "+of, "INSERT INTO t (id, a) SELECT 1000 + n, n FROM "+w.numbers(rows))
			w.capture(capture.Table{Name: "t"})
			middle := map[int][]string{
				// After the first page: rows of it, and of the pages that come.
				100: slices.Concat(set("a = 'x'", 1, 50, 100, 101, 250, 300, 301), []string{remove(20), remove(330), remove(331), add(331), remove(21), add(21)},
					set("id = 1905", 30), set("id = 1906", 320), set("id = 995", 321), set("id = 994", 31)),
				// In the middle of a page that has been read.
				150: slices.Concat(set("a = 'y'", 1, 120, 180, 230, 340), []string{remove(60), remove(170), remove(240)}),
				// Rows that have keys which others had.
				200: {remove(310), "UPDATE t SET id = 1310 WHERE id = 1311", "UPDATE t SET id = 1311 WHERE id = 1040", "UPDATE t SET id = 1040 WHERE id = 1312"},
				260: {"UPDATE t SET a = 'all'"},
			}
			w.liteLoop("among the rows", middle)
		})
		t.Run(name+", named", func(t *testing.T) {
			w := lite(t)
			w.exec("CREATE TABLE t "+of, "INSERT INTO t (id, a) SELECT 1000 + n, n FROM "+w.numbers(rows))
			w.capture(capture.Table{Name: "t"})
			w.exec("UPDATE t SET a = a + 1000 WHERE id <= 1150")
			w.liteLoop("among the keys", map[int][]string{
				50:  {"UPDATE t SET a = 'x' WHERE id IN (1010, 1099, 1101, 1120, 1200, 1290, 1350)", "DELETE FROM t WHERE id IN (1130, 1300)", "UPDATE t SET id = 1995 WHERE id = 1349"},
				120: {"UPDATE t SET a = 'y' WHERE id IN (1149, 1201, 1290, 1348)", "INSERT INTO t (id, a) VALUES (1300, 'again')"},
				170: {"UPDATE t SET a = 'z'"},
			})
		})
	}
}

// TestSQLiteTableAsOfOrderGone: where the index goes by whose order the rows are read, the loop ends with an error.
func TestSQLiteTableAsOfOrderGone(t *testing.T) {
	for name, do := range map[string][]string{
		"another is left": {"DROP INDEX first"},
		"none is left":    {"DROP INDEX first", "DROP INDEX second"},
	} {
		t.Run(name, func(t *testing.T) {
			w := lite(t)
			w.exec("CREATE TABLE t (id INT NOT NULL, b INT NOT NULL, a)", "CREATE UNIQUE INDEX first ON t (id, b)", "CREATE UNIQUE INDEX second ON t (b, id)", "INSERT INTO t SELECT n, 1000 - n, n FROM "+w.numbers(250))
			w.capture(capture.Table{Name: "t", Key: []string{"id", "b"}})
			n, broken := 0, error(nil)
			for row, err := range w.store.TableAsOf(ctx, "t", w.liteClock()) {
				switch n++; {
				case row == nil:
					broken = err
				case err != nil:
					t.Errorf("row %s: %v", row, err)
				case n == 50:
					w.exec(do...)
				}
			}
			if n != 101 || !errors.Is(broken, changes.ErrBroken) {
				t.Errorf("after %d rows: %v", n-1, broken)
			}
		})
	}
}
