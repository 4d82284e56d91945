package changes_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// tableAsOf is what a table was, a line for each row, sorted; and the errors.
func (w *world) tableAsOf(table string, at time.Time) (lines []string, errs []error) {
	w.Helper()
	for row, err := range w.store.TableAsOf(ctx, table, at) {
		switch {
		case row == nil || err != nil:
			errs = append(errs, err)
		default:
			line := ""
			for _, v := range row.Values {
				line += "|" + v.String()
			}
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines, errs
}

// wantLast: the table t has these rows, and so many errors, of which the last is this one because of such a break.
func (w *world) wantLast(what string, at time.Time, rows string, count int, want error, kind changes.BreakKind) {
	w.Helper()
	got, errs := w.tableAsOf("t", at)
	var asOf *changes.AsOfError
	if strings.Join(got, " ") != rows || len(errs) != count || !errors.As(errs[count-1], &asOf) || !errors.Is(asOf, want) || asOf.Break == nil || asOf.Break.Kind != kind {
		w.Errorf("%s: %q, %v; want %q, then %v: %s", what, got, errs, rows, want, kind)
	}
}

// TestTableAsOf compares what a table was with what was seen in it then, through a workload.
func TestTableAsOf(t *testing.T) {
	each(t, func(w *world) {
		r := rand.New(rand.NewPCG(dbtest.Seed(w), 2))
		w.exec("CREATE TABLE t (id int, part text, a numeric, b text, PRIMARY KEY (id, part))",
			"INSERT INTO t SELECT n, 'old,' || n, n, 'before' FROM generate_series(1, 120) n") // which no change names
		w.capture(capture.Table{Name: "t"})
		type state struct {
			at   time.Time
			rows []string
		}
		var states []state
		for range 8 {
			for range 6 {
				id := 1 + r.IntN(20)
				w.exec([]string{
					fmt.Sprintf(`INSERT INTO t VALUES (%d, 'p', %d, NULL) ON CONFLICT DO NOTHING`, id, r.IntN(9)),
					fmt.Sprintf(`UPDATE t SET a = a + 1.0 WHERE id = %d`, id),
					fmt.Sprintf(`UPDATE t SET b = 'x%d' WHERE id %% 7 = %d`, r.IntN(9), r.IntN(7)),
					fmt.Sprintf(`DELETE FROM t WHERE id = %d`, id),
					fmt.Sprintf(`UPDATE t SET id = (SELECT max(id) + 1 FROM t) WHERE id = %d AND part = (SELECT min(part) FROM t WHERE id = %[1]d)`, id),
				}[r.IntN(5)])
			}
			at := w.clock()
			rows := strings.Split(w.text(`SELECT string_agg(concat('|', id, '|', part, '|', a, '|', coalesce(b, 'NULL')), E'\n') FROM t`), "\n")
			slices.Sort(rows)
			states = append(states, state{at, rows})
		}
		for _, s := range states {
			got, errs := w.tableAsOf("t", s.at)
			if len(errs) > 0 || !slices.Equal(got, s.rows) {
				w.Fatalf("at %s: %v\n%s\nwant\n%s", s.at, errs, strings.Join(got, "\n"), strings.Join(s.rows, "\n"))
			}
		}
	})
}

// TestTableAsOfIsNotKnown: what cannot be known is an error and never a row too few.
func TestTableAsOfIsNotKnown(t *testing.T) {
	with(t, func(w *world) {
		before := w.clock()
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "INSERT INTO t VALUES (1, 1), (2, 2)", "CREATE TABLE bare (a int)", "CREATE TABLE never (a int)")
		w.capture(capture.Table{Name: "t"}, capture.Table{Name: "bare"})
		w.wantLast("before", before, "", 1, changes.ErrBeforeCapture, changes.Began)
		captured := w.clock()
		w.exec("UPDATE t SET a = 10 WHERE id = 1")
		if got, errs := w.tableAsOf("t", captured); strings.Join(got, " ") != "|1|1 |2|2" || errs != nil {
			w.Errorf("%q, %v", got, errs)
		}
		w.exec("TRUNCATE t") // and with it a row that no change names
		w.wantLast("before a TRUNCATE", captured, "", 2, changes.ErrBroken, changes.Truncated)
		for row, err := range w.store.TableAsOf(ctx, "t", captured) { // of the first it is known that it was there
			if row == nil || !slices.Equal(row.Key, []string{"1"}) || !errors.Is(err, changes.ErrBroken) {
				w.Errorf("%v, %v", row, err)
			}
			break
		}
		if got, errs := w.tableAsOf("t", w.clock()); len(got) != 0 || errs != nil {
			w.Errorf("since: %q, %v", got, errs)
		}
		w.exec("INSERT INTO t VALUES (3, 3)")
		there := w.clock()
		w.exec("ALTER TABLE t DISABLE TRIGGER USER", "DELETE FROM t")
		w.wantLast("not captured any more, and perhaps not before", there, "", 3, changes.ErrBroken, changes.Uncaptured)
		for table, says := range map[string]string{"bare": "no key", "never": "never captured", "nowhere": "nowhere"} {
			if got, errs := w.tableAsOf(table, w.clock()); len(got) != 0 || len(errs) != 1 || !strings.Contains(errs[0].Error(), says) {
				w.Errorf("%s: %v, %v", table, got, errs)
			}
		}
	}, dbtest.PostgresEngines()[0])
}

// TestTableAsOfOtherKey: rows that the table has now, and that no change names, have no text of a key that the table has had.
func TestTableAsOfOtherKey(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, b int UNIQUE NOT NULL)", "INSERT INTO t VALUES (1, 10), (2, 20)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (4, 40)", "DELETE FROM t WHERE id = 4", "ALTER TABLE t DROP CONSTRAINT t_pkey", "ALTER TABLE t ADD PRIMARY KEY (b)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (3, 30)")
		got, errs := w.tableAsOf("t", w.clock())
		var asOf *changes.AsOfError
		if strings.Join(got, " ") != "|3|30" || len(errs) != 2 || !errors.As(errs[1], &asOf) || !errors.Is(asOf, changes.ErrBroken) || asOf.Break.Kind != changes.Reshaped {
			w.Errorf("%q, %v", got, errs)
		}
	}, dbtest.PostgresEngines()[0])
}

// TestTableAsOfIsStopped: a loop that ends early leaves nothing open.
func TestTableAsOfIsStopped(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 1), (2, 2)")
		w.db.SetMaxOpenConns(1)
		for range 2 {
			n := 0
			for row, err := range w.store.TableAsOf(ctx, "t", w.moment()) {
				w.must(err)
				if row.Since == nil || row.Since.By == nil || row.Since.By.Origin.Role == "" {
					w.Errorf("who made it is not known: %+v", row)
				}
				n++
				break
			}
			if n != 1 || w.text("SELECT count(*) FROM t") != "2" {
				w.Errorf("%d rows", n)
			}
		}
	})
}

// TestTableAsOfLocksNothing: the app changes a table as it likes while the loop's body runs, and the loop goes on with what there was.
func TestTableAsOfLocksNothing(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "INSERT INTO t SELECT n, n FROM generate_series(1000, 1149) n") // which no change names
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t SELECT n, n FROM generate_series(2000, 2249) n", "UPDATE t SET a = a + 1 WHERE id >= 2240")
		at, want := w.clock(), w.text("SELECT string_agg(concat(id, '|', a), ' ' ORDER BY id) FROM t")
		w.exec("UPDATE t SET a = 0 WHERE id IN (1120, 2249)", "DELETE FROM t WHERE id = 2200")
		var got []string
		for row, err := range w.store.TableAsOf(ctx, "t", at) {
			if row == nil || err != nil {
				w.Fatal(err)
			}
			got = append(got, row.Values[0].String()+"|"+row.Values[1].String())
			switch len(got) {
			case 1:
				w.inOne("SET LOCAL lock_timeout = '100ms'", "ALTER TABLE t ADD COLUMN b int DEFAULT 1")
			case 150: // all that no change names have been read
				w.inOne("SET LOCAL lock_timeout = '100ms'", "TRUNCATE t")
			}
			if len(got)%50 == 1 {
				if open := w.text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'"); open != "0" {
					w.Fatalf("row %d: %s transactions are open", len(got), open)
				}
			}
		}
		if strings.Join(got, " ") != want {
			w.Errorf("%s\nwant\n%s", got, want)
		}
	})
}

// TestTableAsOfTruncated: rows that no change names, and that a TRUNCATE removes before the loop gets there, are not known, and not
// left out, whenever it is committed.
func TestTableAsOfTruncated(t *testing.T) {
	for name, meanwhile := range map[string]bool{"between pages": false, "while a page is read": true} {
		t.Run(name, func(t *testing.T) {
			each(t, func(w *world) {
				w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "INSERT INTO t SELECT n, n FROM generate_series(1000, 1149) n")
				w.capture(capture.Table{Name: "t"})
				at, known, unknown := w.clock(), 0, 0
				done := make(chan error, 1)
				for row, err := range w.store.TableAsOf(ctx, "t", at) {
					switch {
					case row == nil:
						w.Fatal(err)
					case err == nil:
						known++
					case !errors.Is(err, changes.ErrBroken) || !slices.Equal(row.Key, []string{fmt.Sprint(1000 + known + unknown)}):
						w.Fatal(row, err)
					default:
						unknown++
					}
					if known+unknown != 100 {
						continue
					}
					tx, err := w.db.BeginTx(ctx, nil)
					w.must(err)
					_, err = tx.ExecContext(ctx, "SET LOCAL lock_timeout = '100ms'")
					w.must(err)
					_, err = tx.ExecContext(ctx, "TRUNCATE t")
					w.must(err)
					if !meanwhile {
						w.must(tx.Commit())
						continue
					}
					go func() {
						w.waits()
						done <- tx.Commit()
					}()
				}
				if meanwhile {
					w.must(<-done)
				}
				if known != 100 || unknown != 50 {
					w.Errorf("%d rows are known, and %d are not", known, unknown)
				}
			})
		})
	}
}

// TestTableAsOfOneState: what is committed while the loop goes on is not in it, even if it was captured before.
func TestTableAsOfOneState(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "INSERT INTO t SELECT n, n FROM generate_series(1000, 1149) n")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t SELECT n, n FROM generate_series(2000, 2049) n", "UPDATE t SET a = a + 1 WHERE id >= 2040")
		want := w.text("SELECT string_agg(concat(id, '|', a), ' ' ORDER BY id) FROM t")
		for name, in := range map[string]time.Duration{"now": 0, "a little ahead": changes.ClockTolerance} {
			tx, err := w.db.BeginTx(ctx, nil)
			w.must(err)
			for _, q := range []string{
				"UPDATE t SET a = -1 WHERE id IN (1130, 2030)", "UPDATE t SET id = 999 WHERE id = 2048", "UPDATE t SET id = 998 WHERE id = 1148", "DELETE FROM t WHERE id IN (1120, 2020)",
				"INSERT INTO t VALUES (1120, 0), (3000, 0)",
			} {
				_, err = tx.ExecContext(ctx, q)
				w.must(err)
			}
			var got []string
			for row, err := range w.store.TableAsOf(ctx, "t", w.clock().Add(in)) {
				if row == nil || err != nil {
					w.Fatal(name, row, err)
				}
				if got = append(got, row.Values[0].String()+"|"+row.Values[1].String()); len(got) == 1 {
					w.must(tx.Commit())
				}
			}
			if strings.Join(got, " ") != want {
				w.Errorf("%s: %s\nwant\n%s", name, got, want)
			}
			w.exec("INSERT INTO t VALUES (1148, 0), (2048, 0), (2020, 0)", "DELETE FROM t WHERE id IN (998, 999, 3000)")
			want = w.text("SELECT string_agg(concat(id, '|', a), ' ' ORDER BY id) FROM t")
		}
	})
}

// TestTableAsOfLeavesNothing: however the loop ends, the connection is as it was.
func TestTableAsOfLeavesNothing(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t SELECT n, n FROM generate_series(1, 250) n")
		w.db.SetMaxOpenConns(1)
		body, cancel := context.WithCancel(ctx)
		defer cancel()
		for _, c := range []struct {
			name string
			ctx  context.Context
			do   func(n int) bool
			same bool // the connection
		}{
			{"break", ctx, func(n int) bool { return n < 150 }, true},
			{"panic", ctx, func(n int) bool {
				if n == 150 {
					panic("the body's")
				}
				return true
			}, true},
			{"to the end", ctx, func(int) bool { return true }, true},
			{"canceled", body, func(n int) bool {
				if n == 150 {
					cancel()
				}
				return true
			}, false},
		} {
			before := w.text("SELECT pg_backend_pid()")
			func() {
				defer func() {
					if r := recover(); r != nil && r != "the body's" {
						panic(r)
					}
				}()
				n, now := 0, w.moment()
				for _, err := range w.store.TableAsOf(c.ctx, "t", now) {
					if n++; err != nil && !errors.Is(err, context.Canceled) {
						w.Errorf("%s: %v", c.name, err)
					}
					if !c.do(n) {
						break
					}
				}
			}()
			if left := w.text("SELECT (SELECT count(*) FROM pg_cursors WHERE is_holdable) + (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%')"); left != "0" {
				w.Errorf("%s: %s cursors and transactions are left", c.name, left)
			}
			if after := w.text("SELECT pg_backend_pid()"); c.same && after != before {
				w.Errorf("%s: the connection is another", c.name)
			}
		}
	})
}
