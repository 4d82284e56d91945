package coverage_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/coverage"
)

// TestWindow: a time without triggers is a gap, and a transaction of which the triggers have kept fewer rows than the driver has counted is
// a difference; both only if they are in the window.
func TestWindow(t *testing.T) {
	e := dbtest.PostgresEngines()[0]
	dsn := e.DSN(t)
	hub := forward.New(&forward.Options{Logger: zap.NewNop()})
	hub.Register(threadline.NewForwarder(nil), forward.Async)
	name := dbtest.Name(e.Driver)
	driver.Register(name, e.Driver, hub, driver.Capture(driver.AllTables()))
	w := &world{T: t, db: dbtest.Open(t, e.Driver, dsn), dialect: e.Dialect}
	must(t, w.timeline().Migrate(ctx))
	must(t, w.installer().Migrate(ctx))
	w.exec("CREATE TABLE orders (id integer PRIMARY KEY, code text NOT NULL UNIQUE, status text, card text)")
	w.apply(orders)
	app := dbtest.Open(t, name, dsn)
	as := func(queries ...string) {
		t.Helper()
		by := hooks.WithActor(context.Background(), hooks.Actor{Type: hooks.User, ID: "alice"})
		tx, err := app.BeginTx(by, nil)
		must(t, err)
		for _, q := range queries {
			_, err = tx.ExecContext(by, q)
			must(t, err)
		}
		must(t, tx.Commit())
	}
	as("INSERT INTO orders VALUES (1, 'a', 'new', '4242')")
	must(t, hub.Drain(ctx))
	window := coverage.Options{Window: time.Hour}
	r := w.check(window)
	if len(r.Findings) != 0 || r.Window.Transactions != 1 || r.Window.Truncated {
		t.Fatalf("all is well: %v, %+v", r.Findings, r.Window)
	}

	as("SET LOCAL session_replication_role = replica", "INSERT INTO orders VALUES (2, 'b', 'new', '4111')")
	must(t, hub.Drain(ctx))
	r = w.check(window)
	if got, want := fmt.Sprint(found(r)), "[difference orders]"; got != want || r.Window.Transactions != 2 {
		t.Errorf("found %s, want %s: %v, %+v", got, want, r.Findings, r.Window)
	}

	w.exec("ALTER TABLE orders DISABLE TRIGGER threadline_row;;UPDATE orders SET status = 'lost'")
	w.apply(orders)
	if got, want := fmt.Sprint(found(w.check(window))), "[gap orders difference orders]"; got != want {
		t.Errorf("found %s, want %s", got, want)
	}
	if r = w.check(coverage.Options{Window: time.Nanosecond}); len(r.Findings) != 0 || r.Window.Transactions != 0 {
		t.Errorf("all of this is before the window: %v, %+v", r.Findings, r.Window)
	}
	if r = w.check(coverage.Options{}); len(r.Findings) != 0 || r.Window != nil {
		t.Errorf("no window: %v, %+v", r.Findings, r.Window)
	}
}
