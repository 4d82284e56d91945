package changes_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
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

// TestTableAsOf compares what a table was with what was seen in it then, through a workload.
func TestTableAsOf(t *testing.T) {
	each(t, func(w *world) {
		r := rand.New(rand.NewPCG(dbtest.Seed(w), 2))
		w.exec("CREATE TABLE t (id int, part text, a numeric, b text, PRIMARY KEY (id, part))",
			"INSERT INTO t SELECT n, 'old,' || n, n, 'before' FROM generate_series(1, 120) n") // which no change names
		w.capture(changes.Table{Name: "t"})
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
		w.capture(changes.Table{Name: "t"}, changes.Table{Name: "bare"})
		wantLast := func(what string, at time.Time, rows string, count int, want error, kind changes.BreakKind) {
			w.Helper()
			got, errs := w.tableAsOf("t", at)
			var asOf *changes.AsOfError
			if strings.Join(got, " ") != rows || len(errs) != count || !errors.As(errs[count-1], &asOf) || !errors.Is(asOf, want) || asOf.Break == nil || asOf.Break.Kind != kind {
				w.Errorf("%s: %q, %v; want %q, then %v: %s", what, got, errs, rows, want, kind)
			}
		}
		wantLast("before", before, "", 1, changes.ErrBeforeCapture, changes.Began)
		captured := w.clock()
		w.exec("UPDATE t SET a = 10 WHERE id = 1")
		if got, errs := w.tableAsOf("t", captured); strings.Join(got, " ") != "|1|1 |2|2" || errs != nil {
			w.Errorf("%q, %v", got, errs)
		}
		w.exec("TRUNCATE t") // and with it a row that no change names
		wantLast("before a TRUNCATE", captured, "", 2, changes.ErrBroken, changes.Truncated)
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
		wantLast("not captured any more", there, "|3|3", 1, changes.ErrBroken, changes.Uncaptured)
		for table, says := range map[string]string{"bare": "no key", "never": "never captured", "nowhere": "nowhere"} {
			if got, errs := w.tableAsOf(table, w.clock()); len(got) != 0 || len(errs) != 1 || !strings.Contains(errs[0].Error(), says) {
				w.Errorf("%s: %v, %v", table, got, errs)
			}
		}
	}, dbtest.PostgresEngines()[0])
}

// TestTableAsOfIsStopped: a loop that ends early leaves nothing open.
func TestTableAsOfIsStopped(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(changes.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 1), (2, 2)")
		w.db.SetMaxOpenConns(1)
		for range 2 {
			n := 0
			for row, err := range w.store.TableAsOf(ctx, "t", time.Now().Add(time.Hour)) {
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
