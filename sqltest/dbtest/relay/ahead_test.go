package relay_test

import (
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestLeaseFromAClockAhead: the lease of a process that has died is over after two leases and a call, though
// it ends in years, because the server's clock was set back. One that is renewed is not.
func TestLeaseFromAClockAhead(t *testing.T) {
	each(t, func(w *world) {
		for _, started := range []bool{true, false} {
			w.sink.set(func(s *sink) { s.got = nil })
			w.lease("dead", future)
			r := w.start(relay.Config{Holder: "alive"})
			if started {
				w.ticks(2)
				w.clock.pass(time.Second)
				w.lease("dead", "2101-01-01T00:00:00.000000Z") // it lives still
			}
			w.commit("a")
			w.ticks(5)
			w.want("")
			w.clock.pass(3 * lasting / 2)
			w.ticks(5)
			w.want("")
			w.exec("UPDATE " + w.own("cursors") + " SET lease_until = '2102-01-01T00:00:00.000000Z'") // and renews it
			w.ticks(5)
			w.clock.pass(3 * lasting / 2)
			w.ticks(5)
			w.want("")
			w.clock.pass(3 * lasting / 2)
			w.drain(r)
			w.want("a")
			if h := w.state().Holder; h != "alive" {
				t.Errorf("%q has the lease", h)
			}
			w.must(r.Stop(ctx))
		}
	})
}

// TestLeaseFromAClockAheadCaughtUp: calls of CatchUp remember for how long it has been so.
func TestLeaseFromAClockAheadCaughtUp(t *testing.T) {
	each(t, func(w *world) {
		cfg := relay.Config{Targets: []relay.Target{w.target()}, Lease: lasting, Clock: w.clock, Memory: &relay.Memory{}}
		w.lease("dead", future)
		w.commit("a")
		w.clock.pass(time.Hour)
		for _, want := range []string{"", "", "a"} {
			_, err := relay.CatchUp(ctx, w.store, w.db, cfg, relay.Share{})
			w.must(err)
			w.want(want)
			w.clock.pass(3 * lasting / 2)
		}
	})
}

// TestClockSetBack: a process that waits, and looks at nothing in between, sees that the lease of
// the one that has died has become one from the future.
func TestClockSetBack(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		minutes := time.Now().Add(time.Minute).UTC().Format("2006-01-02T15:04:05.000000Z")
		w.lease("dead", minutes)
		r := w.start(relay.Config{Holder: "alive"})
		w.ticks(5)
		w.commit("a")
		w.exec("UPDATE aftercommit.cursors SET lease_until = '" + future + "'")
		w.beats("alive")
		w.beats("alive")
		w.ticks(5)
		w.clock.pass(3*lasting + time.Second)
		w.drain(r)
		w.want("a")
	}, dbtest.PQ)
}

// TestProcessFromAClockAhead: a process that has died with a heartbeat of the future takes part in
// no share.
func TestProcessFromAClockAhead(t *testing.T) {
	each(t, func(w *world) {
		w.exec("INSERT INTO " + w.own("workers") + " (name, seen_at) VALUES ('dead', '" + future + "')")
		w.start(relay.Config{Lease: brisk})
		w.until("it is forgotten", func() bool {
			var n int
			w.must(w.db.QueryRowContext(ctx, "SELECT count(*) FROM "+w.own("workers")+" WHERE name = 'dead'").Scan(&n))
			return n == 0
		})
	})
}

// TestRetryFromAClockAhead: what was refused, or is to be replayed, is tried again though a clock
// that was ahead has said when.
func TestRetryFromAClockAhead(t *testing.T) {
	each(t, func(w *world) {
		w.commit("a", "b")
		r := w.start(relay.Config{Lease: brisk})
		w.drain(r)
		n, err := w.store.Replay(ctx, w.db, relay.Selection{Forwarder: name, From: time.Now().Add(-time.Hour)}, false)
		if w.must(err); n != 2 {
			t.Fatalf("%d are replayed", n)
		}
		w.exec("UPDATE " + w.own("retries") + " SET next_at = '" + future + "', last_at = '" + future + "'")
		w.until("they are tried again", func() bool { return w.sink.all() == "a b a b" })
		w.must(r.Stop(ctx))
	})
}
