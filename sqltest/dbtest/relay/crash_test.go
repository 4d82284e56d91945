package relay_test

import (
	"database/sql"
	"testing"
	"time"

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

// release opens the gate for good.
func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.shut)
	g.shut = nil
}

// TestServerCrashesMeanwhile: numbers of transactions that had left nothing on the
// disk are given out again after a crash. A relay that saw nothing of the crash
// must not take the new transactions for the old ones.
func TestServerCrashesMeanwhile(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		const tries = 5
		for range tries {
			if crashMeanwhile(t, e) {
				return
			}
		}
		t.Fatal("five crashes took no number back")
	}, dbtest.PGX) // lib/pq does not hide it
}

// crashMeanwhile reports false if the server had written all to the disk before
// it crashed, as it does now and then by itself.
func crashMeanwhile(t *testing.T, e dbtest.Engine) bool {
	t.Helper()
	c := dbtest.Start(t, &dbtest.Options{Durable: true, Settings: []string{"wal_writer_delay=10s"}})
	w := newWorld(t, e.With(e.Name, func(tb testing.TB) string { tb.Helper(); return c.Database(tb) }))
	g := &gate{clock: clock{now: time.Now()}}
	w.clock = &g.clock
	r := relay.Start(w.store, w.db, relay.Config{
		Targets: []relay.Target{w.target()}, Notify: w.sink.observe, Clock: g,
		Lease: time.Hour, // whose renewal would write to the disk
	})
	w.Cleanup(func() { w.must(r.Stop(ctx)) })
	w.commit("a")
	w.drain(r)

	var burnt, again int64
	for range 50 {
		w.must(rolledBack(w.db, &burnt))
	}
	w.ticks(5)
	g.mu.Lock()
	g.shut = make(chan struct{})
	g.mu.Unlock()
	w.ticks(1) // now it waits at the gate, with all of them in its snapshot
	// A pool looks at a connection that was idle for a second, and replaces
	// it without a word.
	time.Sleep(1100 * time.Millisecond)
	c.Crash(t)
	c.Restart(t)

	db := dbtest.Open(t, e.Driver, w.dsn)
	w.db = db
	w.must(rolledBack(db, &again))
	if again >= burnt {
		g.release()
		return false
	}
	w.commit("b")
	for again <= burnt+10 {
		w.must(rolledBack(db, &again))
	}
	w.commit("c")
	g.release()
	w.until("c is delivered", func() bool { return contains(w.sink.all(), "c") })
	if !contains(w.sink.all(), "b") {
		t.Errorf("delivered [%s], b is not", w.sink.all())
	}
	return true
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
