package pgxdriver_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/driver/pgxdriver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// app is a database, audited, and what it has forwarded.
type app struct {
	*testing.T
	db       *sql.DB
	recorder *sqltest.Recorder
}

func (a *app) must(results ...any) {
	a.Helper()
	if err, ok := results[len(results)-1].(error); ok && err != nil {
		a.Fatal(err)
	}
}

func hub(r *sqltest.Recorder) *forward.Hub {
	h := forward.New(&forward.Options{Logger: zap.NewNop(), Relay: forward.RelayOff})
	h.Register(r, forward.Sync)
	return h
}

// open opens a database through Register.
func open(t *testing.T, dsn string) *app {
	t.Helper()
	a := &app{T: t, recorder: sqltest.NewRecorder()}
	name := dbtest.Name("pgx")
	pgxdriver.Register(name, hub(a.recorder), driver.Capture(driver.Tables("orders")))
	a.db = dbtest.Open(t, name, dsn)
	return a
}

// use does what apps do, and checks the trail.
func (a *app) use() {
	a.Helper()
	ctx := a.Context()
	a.must(a.db.ExecContext(ctx, "CREATE TABLE orders (id bigint PRIMARY KEY, note text)"))
	record := func(h hooks.Handle, action string) {
		a.Helper()
		a.must(hooks.Record(ctx, h, hooks.Event{Action: action}))
	}
	begin := func() *sql.Tx {
		a.Helper()
		tx, err := a.db.BeginTx(ctx, nil)
		a.must(err)
		return tx
	}

	tx := begin()
	a.must(tx.ExecContext(ctx, "INSERT INTO orders (id, note) VALUES ($1, $2)", 1, "x"))
	record(tx, "order.placed")
	a.must(tx.ExecContext(ctx, "SAVEPOINT s"))
	record(tx, "order.undone")
	a.must(tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT s"))
	var id int64
	a.must(tx.QueryRowContext(ctx, "UPDATE orders SET note = $2 WHERE id = $1 RETURNING id", 1, "y").Scan(&id))
	a.must(tx.Commit())

	tx = begin()
	record(tx, "order.refused")
	_, err := tx.ExecContext(ctx, "INSERT INTO orders (id) VALUES ($1)", 1)
	if err == nil {
		a.Fatal("a duplicate was taken")
	}
	undone := make(chan string, 1)
	_ = hooks.OnRollback(ctx, tx, func(context.Context) { undone <- "undone" }) // it may be refused: the transaction has failed
	if err = tx.Commit(); err == nil {
		a.Error("the COMMIT of a failed transaction says nil")
	}

	tx = begin()
	a.must(hooks.OnCommit(ctx, tx, func(context.Context) { undone <- "committed" }))
	a.must(tx.ExecContext(ctx, "SELECT 1"))
	a.must(tx.Commit())
	if got := <-undone; got != "undone" {
		a.Errorf("the first function called is that of what is %s", got)
	}
	if got := <-undone; got != "committed" {
		a.Errorf("the second function called is that of what is %s", got)
	}

	a.must(a.db.ExecContext(ctx, "DELETE FROM orders WHERE id = $1", 1))
	conn, err := a.db.Conn(ctx)
	a.must(err)
	a.must(conn.ExecContext(ctx, "BEGIN; SELECT 1"))
	record(conn, "order.raw")
	a.must(conn.ExecContext(ctx, "SELECT 1; COMMIT"))
	a.must(conn.Close())
	a.recorder.Only(a.T, "schema.changed", "orders.inserted", "order.placed", "orders.updated", "orders.deleted", "order.raw")
}

// TestExecModes: all of pgx's ways to run a statement.
func TestExecModes(t *testing.T) {
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			open(t, dbtest.Postgres(t)+" default_query_exec_mode="+mode).use()
		})
	}
}

// TestPool: the app's own pool, which gets its connections back.
func TestPool(t *testing.T) {
	pool, err := pgxpool.New(t.Context(), dbtest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	a := &app{T: t, recorder: sqltest.NewRecorder()}
	h := hub(a.recorder)
	a.db, err = pgxdriver.OpenDBFromPool(pool, h, driver.Capture(driver.Tables("orders")))
	a.must(err)
	a.use()
	a.must(a.db.Close())
	a.must(h.Close(t.Context()))
	if n := pool.Stat().AcquiredConns(); n != 0 {
		t.Errorf("%d connections are not given back", n)
	}
	if _, err := pgxdriver.OpenDBFromPool(nil, h); err == nil {
		t.Error("a nil pool is taken")
	}
	if _, err := pgxdriver.OpenDBFromPool(pool, nil); err == nil {
		t.Error("a nil hook is taken")
	}
}

// TestStatus is what the server says.
func TestStatus(t *testing.T) {
	db := dbtest.Open(t, "pgx", dbtest.Postgres(t))
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var got []driver.TxStatus
	var base *stdlib.Conn
	for _, query := range []string{"SELECT 1", "BEGIN", "SELECT nothing FROM nowhere", "ROLLBACK"} {
		_, _ = conn.ExecContext(t.Context(), query)
		_ = conn.Raw(func(dc any) error {
			base = dc.(*stdlib.Conn)
			got = append(got, pgxdriver.Status(base))
			return nil
		})
	}
	_ = base.Close()
	got = append(got, pgxdriver.Status(base), pgxdriver.Status(nil))
	want := []driver.TxStatus{driver.TxIdle, driver.TxOpen, driver.TxFailed, driver.TxIdle, driver.TxUnknown, driver.TxUnknown}
	if !slices.Equal(got, want) {
		t.Errorf("got %c, want %c", got, want)
	}
}

// TestFailedIsKnown: what a failed transaction holds is told as rolled back.
func TestFailedIsKnown(t *testing.T) {
	a := open(t, dbtest.Postgres(t))
	tx, err := a.db.BeginTx(t.Context(), nil)
	a.must(err)
	called := make(chan string, 1)
	a.must(hooks.OnCommit(t.Context(), tx, func(context.Context) { called <- "committed" }))
	a.must(hooks.OnRollback(t.Context(), tx, func(context.Context) { called <- "rolled back" }))
	if _, err := tx.ExecContext(t.Context(), "SELECT nothing FROM nowhere"); err == nil {
		t.Fatal("the mistake is none")
	}
	if err := tx.Commit(); err == nil || errors.Is(err, sql.ErrTxDone) {
		t.Errorf("Commit says %v", err)
	}
	if got := <-called; got != "rolled back" {
		t.Errorf("the function of what is %s was called", got)
	}
}
