package capture_test

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

const plannedTables = `CREATE SCHEMA a; CREATE TABLE orders (id bigint PRIMARY KEY, n int); INSERT INTO orders VALUES (7, 0);
	CREATE SCHEMA b; CREATE TABLE b.orders (id bigint PRIMARY KEY, n int); INSERT INTO b.orders VALUES (7, 0)`

// TestHiddenTable: a statement that was prepared for a table goes on writing to it
// when a new one hides it.
func TestHiddenTable(t *testing.T) {
	const (
		change = "UPDATE orders SET n = n + 1 WHERE id = $1"
		sure   = "orders.updated orders#7 statements=1 rows=1"
		maybe  = "orders.updated orders#7 statements=1 conditional=true"
	)
	// A call of it returns what changes the row by a statement made earlier.
	prepared := func(w *world, c *sql.Conn) func() {
		st, err := c.PrepareContext(ctx(), change)
		w.must(err)
		w.Cleanup(func() { _ = st.Close() })
		return func() { w.must(st.ExecContext(ctx(), 7)) }
	}
	direct := func(w *world, c *sql.Conn) func() {
		return func() { w.execOn(c, change, 7) }
	}
	for _, how := range []struct {
		name    string
		make    func(*world, *sql.Conn) func()
		engines []dbtest.Engine
	}{{"prepared", prepared, pg}, {"cached by pgx", direct, []dbtest.Engine{dbtest.PGX}}} {
		for _, tt := range []struct {
			name, setUp, hide string
			unused            bool // before it is hidden
			n                 int  // of the old table's row
			want              []string
			lost              int
		}{
			{"by a temporary table", "CREATE TEMP TABLE other (i int)", "CREATE TEMP TABLE orders (id bigint, n int)", false, 2, []string{sure, maybe}, 0},
			{"before it was used", "CREATE TEMP TABLE other (id bigint, n int)", "ALTER TABLE other RENAME TO orders", true, 1, []string{maybe}, 0},
			{"by a schema in front", "SET search_path = a, public", "CREATE TABLE orders (id bigint, n int)", false, 2, []string{sure, "schema.changed schema#a.orders statements=1"}, 1},
			{"by another path", "SET search_path = public", "SET search_path = b, public", false, 1, []string{sure, "b.orders.updated b.orders#7 statements=1 rows=1"}, 0},
			{"by nothing any more", "CREATE TEMP TABLE orders (id bigint, n int)", "DROP TABLE orders", false, 1, []string{sure}, 0},
		} {
			if tt.unused && how.name != "prepared" {
				continue
			}
			t.Run(how.name+" "+tt.name, func(t *testing.T) {
				each(t, plannedTables, func(w *world) {
					c := w.conn()
					w.execOn(c, tt.setUp)
					call := how.make(w, c)
					if !tt.unused {
						call()
					}
					w.execOn(c, tt.hide)
					call()
					var n int
					w.must(w.bare.QueryRowContext(ctx(), "SELECT n FROM public.orders").Scan(&n))
					if n != tt.n {
						w.Errorf("the row was changed %d times, want %d", n, tt.n)
					}
					w.want(tt.want...)
					notices := w.told.of(hooks.NoticeUncaptured)
					if len(notices) != tt.lost || tt.lost > 0 && notices[0].Reason != "prepared" {
						w.Errorf("notices %+v, want %d", notices, tt.lost)
					}
				}, how.engines...)
			})
		}
	}
}

// TestHidingTable: a statement that is not prepared writes to the new one.
func TestHidingTable(t *testing.T) {
	each(t, plannedTables, func(w *world) {
		c := w.conn()
		w.execOn(c, "CREATE TEMP TABLE other (i int)")
		w.execOn(c, "UPDATE orders SET n = 1 WHERE id = 7")
		w.execOn(c, "CREATE TEMP TABLE orders (id bigint, n int)")
		w.execOn(c, "INSERT INTO orders VALUES (7, 0)")
		w.execOn(c, "UPDATE orders SET n = 2 WHERE id = 7")
		if w.e.Driver == dbtest.PQ.Driver {
			w.execOn(c, "UPDATE orders SET n = ? WHERE id = 7", 3)
		}
		w.want("orders.updated orders#7 statements=1 rows=1")
	}, pg...)
}

// TestPlansThatStay: only what drops all prepared statements, and has done so, makes
// the driver forget what they write to.
func TestPlansThatStay(t *testing.T) {
	const conditional = "orders.inserted orders#2 statements=1 conditional=true"
	for between, want := range map[string]string{
		"DISCARD SEQUENCES": conditional,
		"DISCARD TEMP":      conditional,
		"DISCARD PLANS":     conditional,
		"DEALLOCATE other":  conditional,
		// In a failed transaction, and where it is not allowed.
		"BEGIN|SELECT 1/0|DEALLOCATE ALL|ROLLBACK": conditional,
		"BEGIN|DISCARD ALL|ROLLBACK":               conditional,
		"SELECT 1/0; DEALLOCATE ALL":               conditional,
		// Dropped for good, although the transaction is rolled back.
		"BEGIN|DEALLOCATE ALL|ROLLBACK": "",
		"DISCARD ALL":                   "",
	} {
		t.Run(between, func(t *testing.T) {
			each(t, plannedTables, func(w *world) {
				c := w.conn()
				w.execOn(c, "PREPARE other AS SELECT 1")
				w.execOn(c, "CREATE TEMP TABLE unused (id int)")
				st, err := c.PrepareContext(ctx(), "INSERT INTO orders (id) VALUES ($1)")
				w.must(err)
				w.must(st.ExecContext(ctx(), 1))
				for query := range strings.SplitSeq(between, "|") {
					_, _ = c.ExecContext(ctx(), query) // some are to fail
				}
				w.execOn(c, "DO 'BEGIN CREATE TEMP TABLE orders (id int); END'") // for which the old one is not looked at
				first := "orders.inserted orders#1" + row
				if want == "" { // nothing is left that could write to the old table
					w.execOn(c, "INSERT INTO orders (id) VALUES (?) -- again", 2)
					w.want(first)
					return
				}
				w.must(st.ExecContext(ctx(), 2))
				if between != "DISCARD PLANS" { // after which the server looks for the table again
					w.wantCount("orders", 3)
				}
				w.want(first, want)
			}, pg...)
		})
	}
}
