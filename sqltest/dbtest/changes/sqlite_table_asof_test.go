package changes_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// liteNulls is how many rows of a table have NULL in their keys.
func (w *world) liteNulls(t *liteTable) string {
	w.Helper()
	if t.key == nil {
		return "0"
	}
	return w.text("SELECT count(*) FROM " + t.name + " WHERE " + strings.Join(t.key, " IS NULL OR ") + " IS NULL")
}

// liteNull has a key that may be NULL.
var liteNull = liteTable{"nullable", `CREATE TABLE nullable (k TEXT, l, a, u UNIQUE, PRIMARY KEY (k, l))`, []string{"k", "l"}, []string{"k", "l", "a", "u"}}

// TestSQLiteTableAsOfTruth: at each moment between transactions, TableAsOf has each row that there was, once, to the bit, and none
// else; and RowAsOf has the same.
func TestSQLiteTableAsOfTruth(t *testing.T) {
	for _, through := range []string{"the driver", "no driver"} {
		t.Run("through "+through, func(t *testing.T) {
			w := lite(t)
			all := append(slices.Clone(liteTables), liteNull)
			var tables []capture.Table
			for _, table := range all {
				w.exec(table.sql)
				tables = append(tables, capture.Table{Name: table.name})
			}
			r := rand.New(rand.NewPCG(dbtest.Seed(t), 7))
			for range 3 { // rows from before the capture
				w.liteWrite(r)
			}
			w.capture(tables...)
			if through == "the driver" {
				w.db.Close()
				w.db, _ = liteApp(w)
				w.db.SetMaxOpenConns(1)
				w.store = changes.NewStore(w.db, "sqlite", nil)
			}
			states := []*liteState{w.liteState(all)}
			for n := range 15 {
				w.liteWrite(r)
				switch n {
				case 7:
					w.exec("INSERT INTO nullable VALUES (NULL, 'a', 1, 9)")
				case 9:
					w.exec("UPDATE nullable SET k = 'c' WHERE u = 9")
				case 12:
					w.exec("UPDATE nullable SET k = NULL WHERE u = 9")
				case 13:
					w.exec("DELETE FROM nullable WHERE u = 9")
				}
				states = append(states, w.liteState(all))
			}
			rows, nulls := 0, 0
			for _, m := range states {
				for i := range all {
					if all[i].key == nil {
						continue
					}
					rows += w.wantLiteTable(&all[i], m.at, m.rows[i], m.nulls[i])
					if m.nulls[i] != "0" {
						nulls++
					}
				}
			}
			if rows < 50 || nulls == 0 {
				w.Errorf("%d rows, %d times rows of no key", rows, nulls)
			}
		})
	}
}

// liteWrite writes to liteTables and liteNull.
func (w *world) liteWrite(r *rand.Rand) {
	w.Helper()
	w.liteTransaction(r)
	k := func() string { return []string{"NULL", "'a'", "'b'", "1.5"}[r.IntN(4)] }
	w.exec([]string{
		fmt.Sprintf("INSERT OR REPLACE INTO nullable VALUES (%s, %s, 1, %d)", k(), k(), r.IntN(4)),
		fmt.Sprintf("UPDATE OR IGNORE nullable SET l = %s WHERE u = %d", k(), r.IntN(4)),
		fmt.Sprintf("UPDATE nullable SET a = a + 1 WHERE u = %d", r.IntN(4)),
		fmt.Sprintf("DELETE FROM nullable WHERE u = %d", r.IntN(4)),
	}[r.IntN(4)])
}

// liteState is what was in tables at a time, and how many rows had NULL in their keys.
type liteState struct {
	at    time.Time
	rows  []map[string]string
	nulls []string
}

func (w *world) liteState(tables []liteTable) *liteState {
	w.Helper()
	s := &liteState{}
	for i := range tables {
		rows := make(map[string]string)
		for key, row := range w.liteRows(&tables[i]) {
			if !strings.Contains(key, "\x02") { // NULL
				rows[liteKeyText(plainKey(key), letters(key))] = row
			}
		}
		s.rows, s.nulls = append(s.rows, rows), append(s.nulls, w.liteNulls(&tables[i]))
	}
	s.at = w.liteClock()
	return s
}

// wantLiteTable fails the test unless a table was what was seen in it, and returns how many rows that are.
func (w *world) wantLiteTable(t *liteTable, at time.Time, want map[string]string, nulls string) int {
	w.Helper()
	got, unknown, errs := w.liteTableAsOf(t, at)
	if t.name == liteNull.name { // a row that had NULL in its key once is not known when it had another
		maps.DeleteFunc(want, func(key, _ string) bool { return unknown[key[:strings.LastIndex(key, "\x01")]] })
		clear(unknown)
	}
	if !maps.Equal(got, want) || len(unknown) > 0 {
		w.Fatalf("%s was\n%q\nand is\n%q, not known %v", t.name, want, got, unknown)
	}
	var broken *changes.AsOfError
	switch {
	case nulls == "0" && len(errs) == 0:
	case nulls == "0", len(errs) != 1, !errors.As(errs[0], &broken), !errors.Is(broken, changes.ErrBroken), broken.Break == nil, !strings.HasPrefix(broken.Break.Text, nulls+" row"):
		w.Fatalf("%s: %v, with %s rows of no key", t.name, errs, nulls)
	}
	return len(got)
}

// liteTableAsOf is what a table was, and the keys of the rows that are not known.
func (w *world) liteTableAsOf(t *liteTable, at time.Time) (rows map[string]string, unknown map[string]bool, errs []error) {
	w.Helper()
	rows, unknown = make(map[string]string), make(map[string]bool)
	for row, err := range w.store.TableAsOf(ctx, t.name, at) {
		switch {
		case row == nil:
			errs = append(errs, err)
			continue
		case err != nil:
			unknown[strings.Join(row.Key, "\x01")] = true
			continue
		}
		classes := ""
		for _, k := range t.key {
			i := slices.IndexFunc(row.Values, func(v changes.RowValue) bool {
				return v.Name == strings.ReplaceAll(strings.Trim(k, `"`), `""`, `"`)
			})
			classes += row.Values[i].Storage[:1]
		}
		text := liteKeyText(row.Key, classes)
		if _, twice := rows[text]; twice {
			w.Errorf("%s has %q twice", t.name, text)
		}
		rows[text] = exactRow(row)
		if len(rows)%3 != 1 {
			continue
		}
		one, err := w.store.RowAsOf(ctx, t.name, at, row.Key...)
		switch {
		case err == nil && exactRow(one) != exactRow(row):
			w.Errorf("%s %q: RowAsOf has %s, TableAsOf %s", t.name, row.Key, one, row)
		case err != nil && !strings.Contains(err.Error(), "storage classes"):
			w.Errorf("%s %q: RowAsOf: %v, TableAsOf %s", t.name, row.Key, err, row)
		}
	}
	return rows, unknown, errs
}

// liteKeyText are a key's values and the letters of their storage classes.
func liteKeyText(key []string, classes string) string {
	key = slices.Clone(key)
	for i, k := range key {
		if f, _ := strconv.ParseFloat(k, 64); classes[i] == 'r' {
			key[i] = fmt.Sprint(f)
		}
	}
	return strings.Join(append(key, classes), "\x01")
}

// letters are the storage classes of a key of liteRows.
func letters(key string) (classes string) {
	for _, k := range strings.Split(key, "\x01") {
		classes += k[:1]
	}
	return classes
}

// TestSQLiteTableAsOfIsNotKnown: what cannot be known is an error, and never a row too few.
func TestSQLiteTableAsOfIsNotKnown(t *testing.T) {
	w := lite(t)
	before := w.liteClock()
	w.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, a)", "INSERT INTO t VALUES (1, 1), (2, 2)", "CREATE TABLE bare (a)", "CREATE TABLE never (a INTEGER PRIMARY KEY)")
	w.capture(capture.Table{Name: "t"}, capture.Table{Name: "bare"})
	w.wantLast("before", before, "", 1, changes.ErrBeforeCapture, changes.Began)
	captured := w.liteClock()
	w.exec("UPDATE t SET a = 10 WHERE id = 1")
	if got, errs := w.tableAsOf("t", captured); strings.Join(got, " ") != "|1|1 |2|2" || errs != nil {
		w.Errorf("%q, %v", got, errs)
	}
	w.exec("DELETE FROM t", "INSERT INTO t VALUES (3, 3)")
	if got, errs := w.tableAsOf("t", captured); strings.Join(got, " ") != "|1|1 |2|2" || errs != nil {
		w.Errorf("before all were deleted: %q, %v", got, errs)
	}
	there := w.liteClock()
	w.must(w.installer().Remove(ctx, "t"))
	w.exec("DELETE FROM t")
	w.wantLast("not captured any more", there, "|3|3", 1, changes.ErrBroken, changes.Uncaptured)
	w.wantLast("now, not captured any more", w.liteClock(), "", 4, changes.ErrBroken, changes.Uncaptured)
	w.exec("DROP TABLE t")
	for table, says := range map[string]string{"bare": "no key", "never": "never captured", "nowhere": "nowhere", "t": "no table"} {
		if got, errs := w.tableAsOf(table, w.liteClock()); len(got) != 0 || len(errs) != 1 || !strings.Contains(errs[0].Error(), says) {
			w.Errorf("%s: %v, %v", table, got, errs)
		}
	}
}

// TestSQLiteTableAsOfOneState: what is committed while the loop goes on is not in it, whether rows are named by changes or not, and
// the loop's body has the only connection.
func TestSQLiteTableAsOfOneState(t *testing.T) {
	for name, of := range map[string]string{
		"rowid":   "(id INTEGER PRIMARY KEY, a)",
		"text":    "(id TEXT PRIMARY KEY, a)",
		"folded":  "(id TEXT COLLATE NOCASE PRIMARY KEY DESC, a) WITHOUT ROWID",
		"several": "(id INT, b NOT NULL DEFAULT 'x', a, PRIMARY KEY (b, id)) WITHOUT ROWID",
	} {
		t.Run(name, func(t *testing.T) {
			for _, ahead := range map[bool][]time.Duration{false: {0}, true: {0, changes.ClockTolerance}}[name == "rowid"] {
				w := lite(t)
				w.exec("CREATE TABLE t "+of, "INSERT INTO t (id, a) SELECT CASE WHEN n > 150 THEN 9000 ELSE 1000 END + n, n FROM "+w.numbers(250)) // which no change names
				w.capture(capture.Table{Name: "t"})
				w.exec("INSERT INTO t (id, a) SELECT 2000 + n, n FROM "+w.numbers(120), "UPDATE t SET a = a + 1 WHERE id >= 2100")
				want := w.text("SELECT group_concat(id || '|' || a, ' ') FROM (SELECT * FROM t ORDER BY id)")
				at, n := w.liteClock(), 0
				var got []string
				for row, err := range w.store.TableAsOf(ctx, "t", at.Add(ahead)) {
					if row == nil || err != nil {
						t.Fatal(row, err)
					}
					values := make(map[string]string)
					for _, v := range row.Values {
						values[v.Name] = v.String()
					}
					got = append(got, values["id"]+"|"+values["a"])
					switch n++; {
					case n == 1:
						w.exec("ALTER TABLE t ADD COLUMN extra DEFAULT 1")
					case n == 2:
						w.exec("ALTER TABLE t DROP COLUMN extra")
					case n%40 == 3: // in the middle of each page: some rows are behind, others before it
						w.exec("UPDATE t SET a = -1 WHERE id % 7 = 1", "DELETE FROM t WHERE id % 50 = 3", "INSERT OR IGNORE INTO t (id, a) VALUES (1003, 0), (1153, 0), (9203, 0), (2003, 0)",
							fmt.Sprintf("UPDATE t SET id = %d WHERE id = %d", 3000+n, 1000+n), fmt.Sprintf("UPDATE t SET id = %d WHERE id = %d", n, 9250-n), fmt.Sprintf("INSERT INTO t (id, a) VALUES (%d, 1)", 5000+n))
					case n == 200: // more than are read at once
						w.exec("UPDATE t SET a = a + 1")
					}
				}
				slices.Sort(got)
				if text := strings.Join(got, " "); text != want {
					t.Errorf("%s\nwant\n%s", text, want)
				}
			}
		})
	}
}

// TestSQLiteTableAsOfReplanned: rows that go while the table is not captured are not left out without an error.
func TestSQLiteTableAsOfReplanned(t *testing.T) {
	for name, do := range map[string]func(w *world){
		"removed": func(w *world) {
			w.must(w.installer().Remove(ctx, "t"))
			w.exec("DELETE FROM t")
			w.capture(capture.Table{Name: "t"})
		},
		"dropped": func(w *world) { w.exec("DROP TABLE t") },
		"another key": func(w *world) {
			w.exec("CREATE TABLE u (id INT, a INTEGER PRIMARY KEY)", "DROP TABLE t", "ALTER TABLE u RENAME TO t")
			w.capture(capture.Table{Name: "t"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := lite(t)
			w.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, a)", "INSERT INTO t SELECT n, n FROM "+w.numbers(250))
			w.capture(capture.Table{Name: "t"})
			n, broken := 0, error(nil)
			for row, err := range w.store.TableAsOf(ctx, "t", w.liteClock()) {
				switch n++; {
				case row == nil:
					broken = err
				case err != nil:
					t.Errorf("row %s: %v", row, err)
				case n == 1:
					do(w)
				}
			}
			if n != 101 || !errors.Is(broken, changes.ErrBroken) {
				t.Errorf("after %d rows: %v", n-1, broken)
			}
		})
	}
}
