package delivery_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// An app reads from a hot standby, also before the primary has the journal, and
// whatever its default isolation is. Once the standby is promoted, connections that
// are opened then deliver.
func TestStandby(t *testing.T) {
	for _, e := range dbtest.PostgresEngines() {
		t.Run(e.Name, func(t *testing.T) {
			c := dbtest.Start(t, nil)
			t.Cleanup(func() { c.Stop(t) }) // a standby drops no database
			admin := dbtest.Open(t, "postgres", c.DSN("postgres"))
			var worlds []*world
			for _, isolation := range []string{"read committed", "repeatable read", "serializable"} {
				for _, has := range []bool{true, false} {
					w := &world{T: t, e: e, dsn: c.Database(t), sink: &sink{}}
					w.bare = dbtest.Open(t, e.Driver, w.dsn)
					w.must(w.bare.ExecContext(ctx, "CREATE TABLE orders (id integer PRIMARY KEY)"))
					if has {
						a := w.start(forward.Options{}, nil)
						a.place(1)
						a.drain()
						w.must(a.db.Close())
						w.must(a.hub.Close(ctx))
					}
					w.must(w.bare.ExecContext(ctx, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = ''"+isolation+"''', current_database()); END $$"))
					w.must(w.bare.Close())
					worlds = append(worlds, w)
				}
			}
			if _, err := admin.ExecContext(ctx, "COPY (SELECT '') TO PROGRAM 'cat > standby.signal'"); err != nil {
				t.Fatal(err)
			}
			c.Stop(t)
			c.Restart(t)
			var apps []*app
			for i, w := range worlds {
				for _, o := range []forward.Options{{}, {Relay: forward.RelayElsewhere}, {Relay: forward.RelayOff}, {NoJournal: true}} {
					a, err := w.try(w.dsn, o, func(h *forward.Hub) {
						h.Register(w.sink, forward.Auto)
						h.Register(threadline.NewForwarder(nil), forward.Auto)
					})
					if err != nil {
						t.Errorf("database %d, %+v: %v", i, o, err)
						continue
					}
					if _, err := a.db.ExecContext(ctx, "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT count(*) FROM orders; COMMIT"); err != nil {
						t.Errorf("database %d, %+v: %v", i, o, err)
					}
					if o.Relay == forward.RelayInProcess && !o.NoJournal {
						apps = append(apps, a)
					} else {
						w.must(a.hub.Close(ctx))
						w.must(a.db.Close())
					}
				}
			}
			if _, err := admin.ExecContext(ctx, "SELECT pg_promote()"); err != nil {
				t.Fatal(err)
			}
			for i, a := range apps {
				a.db.SetMaxIdleConns(0) // opens a new one
				a.place(10 + i)
				a.drain()
				if got := a.sink.orders(); !strings.Contains(got, fmt.Sprint(10+i)) {
					t.Errorf("database %d: after its promotion %q was delivered", i, got)
				}
				if got := a.warnings(); strings.Contains(got, "left out") {
					t.Errorf("database %d: %s", i, got)
				}
				a.must(a.db.Close())
				a.must(a.hub.Close(ctx))
			}
		})
	}
}

// TestLostOnAStandby: what an app records on a hot standby can be written nowhere, and is
// reported: lost, if its transaction has committed, and refused outside any.
func TestLostOnAStandby(t *testing.T) {
	c := dbtest.Start(t, nil)
	t.Cleanup(func() { c.Stop(t) }) // a standby drops no database
	admin := dbtest.Open(t, "postgres", c.DSN("postgres"))
	w := &world{T: t, e: dbtest.PQ, dsn: c.Database(t), sink: &sink{}}
	w.bare = dbtest.Open(t, w.e.Driver, w.dsn)
	w.must(w.bare.ExecContext(ctx, "CREATE TABLE orders (id integer PRIMARY KEY)"))
	a := w.start(forward.Options{}, nil)
	a.place(1)
	a.drain()
	w.must(a.db.Close())
	w.must(w.bare.Close())
	if _, err := admin.ExecContext(ctx, "COPY (SELECT '') TO PROGRAM 'cat > standby.signal'"); err != nil {
		t.Fatal(err)
	}
	c.Stop(t)
	c.Restart(t)
	for _, e := range dbtest.PostgresEngines() {
		for _, mode := range []hooks.Mode{hooks.Strict, hooks.BestEffort} {
			t.Run(e.Name+", "+mode.String(), func(t *testing.T) {
				reader := &world{T: t, e: e, dsn: w.dsn, sink: &sink{}, options: []driver.Option{driver.WithMode(mode)}}
				a := reader.start(forward.Options{}, nil)
				tx, err := a.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
				reader.must(err)
				event := hooks.Event{Action: "order.read", Target: hooks.Target{Type: "order", ID: "1"}}
				reader.must(hooks.Record(ctx, tx, event))
				if err = tx.Commit(); (err != nil) != (mode == hooks.Strict) {
					t.Errorf("Commit: %v", err)
				}
				if st := a.hub.Status(ctx); st.Lost != 1 || st.RolledBack != 0 || !strings.Contains(a.warnings(), "audit events could not be written") {
					t.Errorf("status %+v, want one lost; warnings: %s", st, a.warnings())
				}
				if err = hooks.Record(ctx, a.db, event); (err != nil) != (mode == hooks.Strict) {
					t.Errorf("Record: %v", err)
				}
				if st := a.hub.Status(ctx); st.Lost+st.RolledBack != 2 || (st.RolledBack == 1) != (mode == hooks.Strict) {
					t.Errorf("status %+v, want one more, refused or lost", st)
				}
				reader.must(a.db.Close())
			})
		}
	}
}
