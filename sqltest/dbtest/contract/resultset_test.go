package contract_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// simple is pgx where it sends several statements in one string.
var simple = dbtest.PGX.With("pgx simple", func(tb testing.TB) string {
	tb.Helper()
	return dbtest.Postgres(tb) + " default_query_exec_mode=simple_protocol"
})

// resultSets are strings whose rows come in several sets, or end in an error
// somewhere in them. The table has orders 0, 1 and 2.
var resultSets = []struct {
	query   string
	engines []dbtest.Engine // all of PostgreSQL and SQLite if nil
}{
	{"UPDATE orders SET note = 'x' RETURNING id; SELECT 42; SELECT 43, 44", nil},
	{"SELECT 7; UPDATE orders SET note = 'x' WHERE id > 0 RETURNING id, note; SELECT 42", nil},
	{"UPDATE orders SET note = 'x' WHERE id = 99 RETURNING id; SELECT 42 WHERE 1 = 0; SELECT 43", nil},
	{"UPDATE orders SET note = 'x'; SELECT 42, 'y'", nil},
	{"DELETE FROM orders WHERE id = 1 RETURNING *; INSERT INTO visits VALUES (1); INSERT INTO visits VALUES (2), (3) RETURNING id", nil},
	{"UPDATE orders SET note = 'x' RETURNING id, note", nil},
	{"UPDATE orders SET note = 'x' RETURNING 1 / (id - 2)", pg},
	{"UPDATE orders SET note = 'x' RETURNING id; SELECT 1 / (id - 2) FROM orders", pg},
	{"UPDATE orders SET note = 'x' RETURNING id; SELECT 42; SELECT nothing FROM nowhere", pg},
	{"INSERT INTO orders (id) VALUES (1) RETURNING id; SELECT 42", nil},
	{"INSERT INTO orders (id) VALUES (9) RETURNING id; INSERT INTO lines (id, thing) VALUES (1, 99)", pg},
	{"INSERT INTO orders (id) VALUES (9) RETURNING id; INSERT INTO lines (id, thing) VALUES (1, 99); SELECT 42", pg},
}

// readings are ways to read rows: how many of each set, and of how many sets.
var readings = []struct{ rows, sets int }{{99, 99}, {1, 99}, {0, 99}, {2, 1}, {1, 1}, {99, 2}, {0, 0}}

// TestResultSets compares all that the rows of a string say with what the bare
// driver's say: the sets, their columns, the place of an error, and what is left
// in the table.
func TestResultSets(t *testing.T) {
	for _, e := range []dbtest.Engine{dbtest.PQ, dbtest.PGX, simple, dbtest.SQLite} {
		t.Run(e.Name, func(t *testing.T) {
			for _, limit := range []int{0, 1, 4, 10_000} {
				w := newWorld(t, e, setup{driver: []driver.Option{driver.DrainRows(limit)}})
				twin := newTwin(t, e)
				for _, in := range []string{"autocommit", "Tx", "prepared"} {
					for _, s := range resultSets {
						if s.engines != nil && e.Dialect == hooks.SQLite || in == "prepared" && e.Name != "sqlite" && strings.Contains(s.query, ";") {
							continue
						}
						for _, r := range readings {
							got, want := w.transcript(in, s.query, r.rows, r.sets), twin.transcript(in, s.query, r.rows, r.sets)
							if got != want {
								t.Errorf("drained up to %d, %s, reading %d rows of %d sets: %s\n%s\nand on the bare driver\n%s", limit, in, r.rows, r.sets, s.query, got, want)
							}
						}
					}
				}
			}
		})
	}
}

// transcript runs query and tells what its rows say, up to so many rows of each
// set and so many sets.
func (w *world) transcript(in, query string, most, sets int) string {
	w.Helper()
	w.must(w.bare.ExecContext(ctx(), "DELETE FROM orders"))
	w.must(w.bare.ExecContext(ctx(), "DELETE FROM visits"))
	w.orders(3)
	var b strings.Builder
	rows, done := w.openRows(in, query, &b)
	if rows != nil {
		for n := 0; n < sets; n++ {
			describeSet(rows, &b, most)
			if n+1 < sets && !rows.NextResultSet() {
				break
			}
		}
		fmt.Fprintln(&b, "err", kind(rows.Err()))
		fmt.Fprintln(&b, "close", kind(rows.Close()))
	}
	done()
	fmt.Fprintln(&b, "left", w.rows())
	return b.String()
}

// openRows queries and returns what is to be called after the rows are closed.
func (w *world) openRows(in, query string, b *strings.Builder) (rows *sql.Rows, done func()) {
	w.Helper()
	var err error
	done = func() {}
	switch in {
	case "autocommit":
		rows, err = w.db.QueryContext(ctx(), query)
	case "Tx":
		tx := w.begin()
		rows, err = tx.QueryContext(ctx(), query)
		done = func() { fmt.Fprintln(b, "commit", kind(tx.Commit())) }
	case "prepared":
		st, perr := w.db.PrepareContext(ctx(), query)
		w.must(perr)
		rows, err = st.QueryContext(ctx())
		done = func() { w.must(st.Close()) }
	}
	fmt.Fprintln(b, "query", kind(err))
	if err != nil {
		return nil, done
	}
	return rows, done
}

// describeSet tells what the current set says.
func describeSet(rows *sql.Rows, b *strings.Builder, most int) {
	names, err := rows.Columns()
	fmt.Fprintln(b, "set", names, kind(err))
	types, err := rows.ColumnTypes()
	fmt.Fprintln(b, "types", kind(err))
	for _, ct := range types {
		length, hasLength := ct.Length()
		nullable, hasNullable := ct.Nullable()
		precision, scale, decimal := ct.DecimalSize()
		fmt.Fprintln(b, " ", ct.Name(), ct.DatabaseTypeName(), ct.ScanType(), length, hasLength, nullable, hasNullable, precision, scale, decimal)
	}
	for range most {
		if !rows.Next() {
			return
		}
		values, into := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		fmt.Fprintf(b, "  %s %#v\n", kind(rows.Scan(into...)), values)
	}
}

// TestResultSetsCount: of several sets, the first is the captured statement's.
func TestResultSetsCount(t *testing.T) {
	for _, in := range []string{"autocommit", "Tx"} {
		for query, want := range map[string]string{
			"UPDATE orders SET note = 'x' RETURNING id":                        "orders.updated 3",
			"UPDATE orders SET note = 'x' RETURNING id; SELECT 42":             "orders.updated <nil>",
			"SELECT 1; SELECT 2; UPDATE orders SET note = 'x' RETURNING id":    "orders.updated <nil>",
			"UPDATE orders SET note = 'x' WHERE id = 1 RETURNING id; SELECT 1": "orders.updated <nil>",
		} {
			w := newWorld(t, dbtest.PQ, setup{})
			w.transcript(in, query, 99, 99)
			got := ""
			for _, e := range w.sink.got() {
				got += fmt.Sprint(e.Action, " ", e.Metadata["rows"])
			}
			if got != want {
				t.Errorf("%s: %s: event %q, want %q", in, query, got, want)
			}
		}
	}
}
