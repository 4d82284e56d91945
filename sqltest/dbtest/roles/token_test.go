package roles_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"fmt"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// thief is a role without any grant. It reads in pg_locks which advisory locks others
// hold, and takes each as soon as it is free.
type thief struct {
	*world
	db *sql.DB
}

const heldLocks = `SELECT DISTINCT (classid::bigint << 32) | objid::bigint FROM pg_catalog.pg_locks
	WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted
	AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())`

func (w *world) thief() *thief {
	w.Helper()
	role := dbtest.Name("thief")
	w.must(w.super.ExecContext(ctx, `CREATE ROLE "`+role+`" LOGIN`))
	w.Cleanup(func() { w.must(w.super.ExecContext(ctx, `DROP ROLE "`+role+`"`)) })
	return &thief{w, dbtest.Open(w.T, w.e.Driver, w.as(role))}
}

// queue waits, in the background, for every lock that is held now, and reports how many
// these are. taken returns once it has them all.
func (h *thief) queue() (n int, taken func()) {
	h.Helper()
	rows, err := h.db.QueryContext(ctx, heldLocks)
	h.must(err)
	var tokens []int64
	for rows.Next() {
		var token int64
		h.must(rows.Scan(&token))
		tokens = append(tokens, token)
	}
	h.must(rows.Err())
	h.must(rows.Close())
	done := make(chan error, len(tokens))
	stop, cancel := context.WithCancel(ctx)
	var conns []*sql.Conn
	for _, token := range tokens {
		conn, err := h.db.Conn(ctx)
		h.must(err)
		conns = append(conns, conn)
		go func() {
			_, err := conn.ExecContext(stop, fmt.Sprintf("SELECT pg_catalog.pg_advisory_lock(%d)", token))
			done <- err
		}()
	}
	h.Cleanup(func() {
		cancel()
		for _, conn := range conns {
			_ = conn.Raw(func(any) error { return sqldriver.ErrBadConn })
		}
	})
	h.until("the thief waits", func() bool {
		return h.count(`SELECT pg_catalog.count(*) FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND NOT granted`) >= len(tokens)
	})
	return len(tokens), func() {
		h.Helper()
		for range tokens {
			select {
			case err := <-done:
				h.must(err)
			case <-time.After(dbtest.Patience):
				h.Fatal("the lock was not released")
			}
		}
	}
}

// early are statements before which the driver writes the events that it has.
var early = []string{
	"SELECT 1; SAVEPOINT x; RELEASE SAVEPOINT x",
	"SELECT set_config('transaction_read_only', 'off', true)",
	"SET LOCAL transaction_read_only = off",
}

// back are ways to take back what was written since the savepoint s: one that the driver
// sees, and others.
var back = map[string]func(w *world, conn *sql.Conn){
	"seen":       executed("ROLLBACK TO SAVEPOINT s"),
	"a string":   executed("ROLLBACK TO SAVEPOINT s; SELECT 1"),
	"hidden":     hidden("ROLLBACK TO SAVEPOINT s"),
	"and again":  hidden("ROLLBACK TO SAVEPOINT s", "RELEASE SAVEPOINT s"),
	"end, begin": executed("COMMIT; BEGIN"),
	"unseen end": hidden("COMMIT", "BEGIN"),
}

func executed(query string) func(*world, *sql.Conn) {
	return func(w *world, conn *sql.Conn) {
		w.Helper()
		w.must(conn.ExecContext(ctx, query))
	}
}

func hidden(queries ...string) func(*world, *sql.Conn) {
	return func(w *world, conn *sql.Conn) {
		w.Helper()
		w.must(conn.Raw(func(dc any) error {
			base := driver.Raw(dc).(sqldriver.ExecerContext)
			for _, query := range queries {
				if _, err := base.ExecContext(ctx, query, nil); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

// TestTokenTaken: a role that may only connect cannot make the transactions of others
// fail, or lose their events, by taking the lock of one as soon as what it had written
// was taken back.
func TestTokenTaken(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		w.must(w.super.ExecContext(ctx, "CREATE TABLE public.orders (id int PRIMARY KEY)"))
		h := w.thief()
		for _, mode := range []hooks.Mode{hooks.Strict, hooks.BestEffort} {
			db := w.audited(mode)
			for _, first := range early {
				for name, takeBack := range back {
					t.Run(fmt.Sprint(mode, "/", first, "/", name), func(t *testing.T) {
						w.T, h.T = t, t
						w.victim(db, h, first, takeBack)
					})
				}
			}
		}
		w.T, h.T = t, t
	}, dbtest.PostgresEngines()...)
}

// audited opens the database as an app does that writes events and delivers none.
func (w *world) audited(mode hooks.Mode) *sql.DB {
	w.Helper()
	name := dbtest.Name(w.e.Driver)
	driver.Register(name, w.e.Driver, forward.New(&forward.Options{Relay: forward.RelayOff, Logger: zap.NewNop()}), driver.Capture(driver.AllTables()), driver.WithMode(mode), driver.WriteTimeout(dbtest.Patience))
	return dbtest.Open(w.T, name, w.dsn)
}

// victim makes a transaction whose first write is taken back; then the thief takes the
// lock, and the transaction writes again, also early.
func (w *world) victim(db *sql.DB, h *thief, first string, takeBack func(*world, *sql.Conn)) {
	w.Helper()
	conn, err := db.Conn(ctx)
	w.must(err)
	defer func() {
		_, _ = conn.ExecContext(ctx, "ROLLBACK") // if it has failed
		_ = conn.Close()
	}()
	for _, query := range []string{"TRUNCATE public.orders", "TRUNCATE aftercommit.audit_events", "BEGIN", "SAVEPOINT s", "INSERT INTO orders (id) VALUES (1)", first} {
		w.must(conn.ExecContext(ctx, query))
	}
	n, taken := h.queue()
	if n == 0 {
		w.Fatal("nothing was written early")
	}
	takeBack(w, conn)
	taken()
	for _, query := range []string{"INSERT INTO orders (id) VALUES (2)", first, "INSERT INTO orders (id) VALUES (3)", "COMMIT"} {
		w.must(conn.ExecContext(ctx, query))
	}
	const of = "SELECT pg_catalog.count(*) FROM aftercommit.audit_events WHERE target_id IN ('2', '3')"
	if orders, events := w.count("SELECT pg_catalog.count(*) FROM public.orders WHERE id > 1"), w.count(of); orders != 2 || events != 2 {
		w.Errorf("%d orders with %d events, want 2 with 2", orders, events)
	}
}
