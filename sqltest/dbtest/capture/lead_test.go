package capture_test

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/lib/pq"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// leadTables: a connection's first question about orders is the test's.
const leadTables = `CREATE TABLE orders (id bigint PRIMARY KEY, note text); INSERT INTO orders VALUES (1, '');
	CREATE SCHEMA t1; CREATE TABLE t1.orders (id bigint PRIMARY KEY, note text)`

// TestLeads: what must be ahead of any query of its transaction, with a write in one
// string, on connections that know no names yet.
func TestLeads(t *testing.T) {
	const (
		update  = "UPDATE orders SET note = 'x' WHERE id = 1"
		updated = "orders.updated orders#1" + row
		perhaps = "orders.updated orders#1 statements=1 conditional=true" // no count of one of several
	)
	each(t, leadTables, func(w *world) {
		w.db.SetMaxIdleConns(0)
		exporter, err := w.bare.BeginTx(ctx(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
		w.must(err)
		defer func() { _ = exporter.Rollback() }()
		var snapshot string
		w.must(exporter.QueryRowContext(ctx(), "SELECT pg_export_snapshot()").Scan(&snapshot))
		for _, tt := range []struct {
			begin, query string
			want         []string
		}{
			{"BEGIN ISOLATION LEVEL REPEATABLE READ", "SET TRANSACTION SNAPSHOT '" + snapshot + "'; " + update, []string{updated}},
			{"BEGIN", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; " + update, []string{updated}},
			{"BEGIN", "SET LOCAL transaction_isolation = 'repeatable read';" + update + ";", []string{updated}},
			{"BEGIN", "SET LOCAL lock_timeout = '9s'; SET SESSION transaction_deferrable = on; " + update, []string{updated}},
			{"BEGIN READ ONLY", "SET TRANSACTION READ WRITE; " + update, []string{updated}},
			{"BEGIN READ ONLY", "SET transaction_read_only = off; " + update, []string{updated}},
			{"BEGIN", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; CREATE TABLE made (id bigint)", []string{"schema.changed schema#made statements=1"}},
			{"BEGIN", "LOCK TABLE orders; DROP TABLE t1.orders", []string{"schema.changed schema#t1.orders statements=1"}},
			// It ends as the transaction does, which is seen, and so does what it wrote.
			{"BEGIN", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; COMMIT", nil},
			// What comes after the path is asked for along it.
			{"BEGIN", "SET LOCAL search_path = t1; LOCK TABLE orders; INSERT INTO orders (id) VALUES (2)", []string{"t1.orders.inserted t1.orders#2" + row}},
			// These are not cut: their second half would be read otherwise.
			{"BEGIN", "SET client_encoding = 'UTF8'; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; " + update, []string{perhaps}},
			{"BEGIN", `SET LOCAL app.path = 'c:\a'; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; ` + update, []string{perhaps}},
			// The strings may be read in two ways: the setting is asked for.
			{"BEGIN", `SET LOCAL app.path = 'c:\'; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SELECT ''`, nil},
		} {
			c := w.conn()
			w.execOn(c, tt.begin)
			if _, err := c.ExecContext(ctx(), tt.query); err != nil {
				w.Errorf("%s: %v", tt.query, err)
			}
			_, err := c.ExecContext(ctx(), "COMMIT")
			w.must(err)
			w.wantAfter(tt.query, tt.want...)
			w.must(c.Close())
			if tt.query[:4] == "LOCK" {
				w.setUp("CREATE TABLE t1.orders (id bigint PRIMARY KEY, note text)")
			}
		}
	}, pg...)
}

// TestLeadsOfAQuery: likewise where the string returns rows.
func TestLeadsOfAQuery(t *testing.T) {
	each(t, leadTables, func(w *world) {
		tx := w.begin()
		rows, err := tx.QueryContext(ctx(), "SET LOCAL search_path = public; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; UPDATE orders SET note = 'x' WHERE id = 1 RETURNING id")
		w.must(err)
		w.must(drain(rows, err))
		w.must(tx.Commit())
		w.want("orders.updated orders#1" + row)
	}, dbtest.PQ)
}

// TestLeadsThatAreRefused: pgx refuses to query several statements, and does so still.
func TestLeadsThatAreRefused(t *testing.T) {
	each(t, leadTables, func(w *world) {
		for _, second := range []string{"UPDATE orders SET note = 'x' WHERE id = 1 RETURNING id", "COMMIT"} {
			tx := w.begin()
			rows, err := tx.QueryContext(ctx(), "LOCK TABLE orders; "+second)
			if err = drain(rows, err); hooks.SQLState(err) != "42601" {
				t.Errorf("%s: %v; want the server's refusal", second, err)
			}
			w.must(tx.Rollback())
		}
		w.want()
	}, dbtest.PGX)
}

// TestLeadsBehindARecord: an event that waits does not become the first query.
func TestLeadsBehindARecord(t *testing.T) {
	each(t, leadTables, func(w *world) {
		tx := w.begin()
		w.record(tx, "1")
		w.execOn(tx, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SAVEPOINT a; SELECT 1")
		w.must(tx.Commit())
		w.want("thing.noted thing#1")
	}, pg...)
}

// TestLeadsAndRules: a table that only its full name is captured by is found also
// where the catalog is asked after the string.
func TestLeadsAndRules(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newHub(t, e, e.DSN(t))
		w.setUp(leadTables)
		w.register(driver.Capture(driver.Tables("t1.orders")))
		c := w.conn()
		w.execOn(c, "SET search_path = t1")
		w.execOn(c, "BEGIN")
		w.execOn(c, "SET client_encoding = 'UTF8'; LOCK TABLE orders; INSERT INTO orders (id) VALUES (3)")
		w.execOn(c, "COMMIT")
		w.want("t1.orders.inserted t1.orders#3 statements=1 conditional=true")
	}, pg...)
}

// TestLeadPosition: a string that was cut fails where the whole one does.
func TestLeadPosition(t *testing.T) {
	each(t, leadTables, func(w *world) {
		message := func(db *sql.DB) string {
			tx, err := db.BeginTx(ctx(), nil)
			w.must(err)
			defer func() { _ = tx.Rollback() }()
			_, err = tx.ExecContext(ctx(), "SET TRANSACTION READ WRITE /* é */; UPDATE orders SET wrong = 1")
			return position(err)
		}
		if bare, got := message(w.bare), message(w.db); bare == "" || got != bare {
			w.Errorf("the error is at %q, past the driver at %q", got, bare)
		}
	}, pg...)
}

// position is where the server says that the error is, in characters.
func position(err error) string {
	var byPQ *pq.Error
	var byPGX *pgconn.PgError
	switch {
	case errors.As(err, &byPQ):
		return byPQ.Position
	case errors.As(err, &byPGX):
		return fmt.Sprint(byPGX.Position)
	}
	return ""
}

// TestLockInAString: a REPEATABLE READ transaction sees what was committed before it
// got the lock.
func TestLockInAString(t *testing.T) {
	each(t, leadTables, func(w *world) {
		holder, err := w.bare.BeginTx(ctx(), nil)
		w.must(err)
		w.must(holder.ExecContext(ctx(), "UPDATE orders SET note = note || 'a' WHERE id = 1"))
		tx, err := w.db.BeginTx(ctx(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
		w.must(err)
		done := make(chan error, 1)
		go func() {
			_, err := tx.ExecContext(ctx(), "LOCK TABLE orders IN EXCLUSIVE MODE; UPDATE orders SET note = note || 'b' WHERE id = 1")
			done <- err
		}()
		w.waitForLock()
		w.must(holder.Commit())
		w.must(<-done)
		w.must(tx.Commit())
		w.want("orders.updated orders#1" + row)
	}, pg...)
}

// waitForLock returns when a session waits for a lock.
func (w *world) waitForLock() {
	w.Helper()
	w.within("the statement", func() {
		for n := 0; n == 0; time.Sleep(time.Millisecond) {
			if err := w.bare.QueryRowContext(ctx(), `SELECT count(*) FROM pg_stat_activity
				WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&n); err != nil {
				w.Error(err)
				return
			}
		}
	})
}
