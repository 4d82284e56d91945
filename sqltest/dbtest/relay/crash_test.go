package relay_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// gate is a clock whose waits end when it is open, and not before.
type gate struct {
	clock
	shut chan struct{} // nil while it is open
}

func (g *gate) After(d time.Duration) <-chan time.Time {
	open := g.clock.After(d)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut == nil {
		return open
	}
	end := make(chan time.Time)
	go func(shut chan struct{}) {
		<-shut
		close(end)
	}(g.shut)
	return end
}

// close shuts the gate.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = make(chan struct{})
}

// release opens the gate for good.
func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.shut)
	g.shut = nil
}

// crash is how a server loses what it had not written to disk.
type crash struct {
	name string
	do   func(t *testing.T, c *dbtest.Cluster, w *world)
}

var crashes = []crash{
	{"of the server", func(t *testing.T, c *dbtest.Cluster, _ *world) {
		t.Helper()
		c.Crash(t)
		c.Restart(t)
	}},
	// The server lives, and begins anew: its start time stays what it was.
	{"of a backend", func(t *testing.T, _ *dbtest.Cluster, w *world) {
		t.Helper()
		// Its end is the server's doing: before, a new connection may still be accepted.
		witness, err := w.db.Conn(ctx)
		w.must(err)
		defer witness.Close()
		var pid int
		w.must(w.db.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&pid))
		w.must(syscall.Kill(pid, syscall.SIGKILL))
		w.until("the server has ended the others", func() bool { return witness.PingContext(ctx) != nil })
		w.until("the server works again", func() bool { return w.db.PingContext(ctx) == nil })
	}},
}

// TestServerCrashesMeanwhile: numbers of transactions that had left nothing on the
// disk are given out again after a crash. A relay that saw nothing of the crash
// must not take the new transactions for the old ones: whether it has looked, or is
// delivering, and though its connection has outlived the crash.
func TestServerCrashesMeanwhile(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		for _, how := range crashes {
			for _, delivering := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s delivering=%v", how.name, delivering), func(t *testing.T) {
					const tries = 5
					for range tries {
						if crashMeanwhile(t, e, how, delivering) {
							return
						}
					}
					t.Fatal("five crashes took no number back")
				})
			}
		}
	}, dbtest.PostgresEngines()...)
}

// crashMeanwhile reports false if the server had written all to the disk before
// it crashed, as it does now and then by itself.
func crashMeanwhile(t *testing.T, e dbtest.Engine, how crash, delivering bool) bool {
	t.Helper()
	c := dbtest.Start(t, &dbtest.Options{Durable: true, Settings: []string{"wal_writer_delay=10s"}})
	w := newWorld(t, e.With(e.Name, func(tb testing.TB) string { tb.Helper(); return c.Database(tb) }))
	g := &gate{clock: clock{now: time.Now()}}
	w.clock = &g.clock
	via := dbtest.Open(t, dbtest.Wrap(t, e.Driver, func(d driver.Driver) driver.Driver { return pooler{d} }), w.dsn)
	target, calls, goOn := w.target(), make(chan struct{}, 100), make(chan struct{})
	deliver := target.Deliver
	target.Deliver = func(c context.Context, db *sql.DB, entries []journal.Entry) relay.Result {
		if entries[0].Target.ID == "x" {
			calls <- struct{}{}
			<-goOn
		}
		return deliver(c, db, entries)
	}
	r := relay.Start(w.store, via, relay.Config{
		Targets: []relay.Target{target}, Notify: w.sink.observe, Clock: g,
		Lease: time.Hour, // whose renewal would write to the disk
	})
	w.Cleanup(func() { w.must(r.Stop(ctx)) })
	w.commit("a")
	w.drain(r)
	if delivering {
		g.close()
		w.ticks(1)
		w.commit("x")
	}
	beginPage(w)
	var burnt, again int64
	for range 50 {
		w.must(rolledBack(w.db, &burnt))
	}
	if delivering {
		g.release()
		<-calls
	} else {
		w.ticks(5)
		g.close()
		w.ticks(1) // now it waits at the gate, with all of them in its snapshot
	}
	how.do(t, c, w)

	db := dbtest.Open(t, e.Driver, w.dsn)
	w.db = db
	w.must(rolledBack(db, &again))
	proceed := func() {
		close(goOn)
		if !delivering {
			g.release()
		}
	}
	if again >= burnt {
		proceed()
		return false
	}
	w.commit("b")
	for again <= burnt+10 {
		w.must(rolledBack(db, &again))
	}
	w.commit("c")
	proceed()
	w.until("c is delivered", func() bool { return contains(w.sink.all(), "c") })
	if !contains(w.sink.all(), "b") {
		t.Errorf("delivered [%s], b is not", w.sink.all())
	}
	return true
}

// beginPage fills the page of the WAL that the server is at: it writes a full one to the disk at once.
func beginPage(w *world) {
	w.Helper()
	const page, header = 8192, 100
	w.exec(fmt.Sprintf("SELECT pg_logical_emit_message(false, '', repeat('x', (%d - (pg_current_wal_insert_lsn() - '0/0') %% %d + %d)::int))", page, page, header))
}

// rolledBack uses up a transaction's number.
func rolledBack(db *sql.DB, xid *int64) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return tx.QueryRowContext(ctx, "SELECT pg_current_xact_id()::text::bigint").Scan(xid)
}
