package relay_test

import (
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

const grace = 30 * time.Second

// graceful is the world's target, which others deliver to as well.
func (w *world) graceful() relay.Config {
	target := w.target()
	target.Grace = grace
	return relay.Config{Targets: []relay.Target{target}, Lease: time.Hour}
}

// settle notes that somebody else has delivered these.
func (w *world) settle(names ...string) {
	w.Helper()
	var positions []journal.Position
	entries := w.entries()
	for _, n := range names {
		positions = append(positions, entries[n].Position)
	}
	w.must(w.store.Acknowledge(ctx, w.db, name, positions))
	w.must(w.store.Acknowledge(ctx, w.db, name, positions)) // again is fine
}

// later lets the grace period pass, and the quarter of it that the relay may be
// late, in steps of which each is seen.
func (w *world) later() {
	w.Helper()
	for range 6 {
		w.clock.pass(grace/4 + time.Second)
		w.ticks(2)
	}
}

// TestAcknowledgedWhatIsNotThere: positions that no entry has hide none, of which the row has as
// many.
func TestAcknowledgedWhatIsNotThere(t *testing.T) {
	each(t, func(w *world) {
		w.commit("a", "b")
		at := w.entries()["a"].Position
		var wrong []journal.Position
		for _, ordinal := range []int{-2, -1, 2, 3} {
			wrong = append(wrong, journal.Position{Key: at.Key, Ordinal: ordinal})
		}
		w.must(w.store.Acknowledge(ctx, w.db, name, wrong))
		if n := w.state().Behind; n != 2 {
			t.Errorf("it is behind by %d, want 2", n)
		}
		w.drain(w.start(relay.Config{}))
		w.want("a b")
	})
}

// TestGrace: what is settled is left out, and what is not comes after the grace
// period, not before.
func TestGrace(t *testing.T) {
	each(t, func(w *world) {
		r := w.start(w.graceful())
		w.commit("a", "b", "c")
		w.settle("a", "c")
		w.ticks(5)
		w.clock.pass(grace / 2)
		w.ticks(5)
		w.want("")
		w.later()
		w.drain(r)
		w.want("b")
		if w.e.Dialect == hooks.SQLite {
			w.clock.set(time.Now()) // there the period is counted from when it was recorded
		}
		w.commit("d")
		w.settle("d")
		w.later()
		w.drain(r)
		w.want("b")
		w.until("nothing settled is kept", func() bool {
			var n int
			w.must(w.db.QueryRowContext(ctx, "SELECT count(*) FROM "+w.own("acknowledged")).Scan(&n))
			return n == 0
		})
	})
}

// TestGraceAfterRestart: a relay that has just started gives the others the whole
// period too.
func TestGraceAfterRestart(t *testing.T) {
	each(t, func(w *world) {
		w.commit("a")
		r := w.start(w.graceful())
		w.ticks(5)
		w.want("")
		w.must(r.Stop(ctx))
		r = w.start(w.graceful())
		w.later()
		w.drain(r)
		w.want("a")
	})
}

// TestGraceIsOfTheTransaction: what is committed late has its period from then on.
func TestGraceIsOfTheTransaction(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		r := w.start(w.graceful())
		long := w.begin()
		long.record("long")
		w.commit("short")
		w.later()
		w.until("short is delivered", func() bool { return w.sink.all() == "short" })
		long.commit()
		w.ticks(5)
		w.want("short")
		w.later()
		w.drain(r)
		w.want("short long")
	}, dbtest.PostgresEngines()...)
}

// TestGraceInBatches: what is settled does not confuse where a batch ends.
func TestGraceInBatches(t *testing.T) {
	each(t, func(w *world) {
		cfg := w.graceful()
		cfg.Batch = 2
		r := w.start(cfg)
		w.commit("a", "b", "c", "d", "e", "f", "g", "h")
		w.settle("a", "b", "c", "f", "h")
		w.later()
		w.drain(r)
		w.want("d e g")
		w.must(r.Stop(ctx))
		if told := len(w.sink.told(hooks.NoticeDelivered)); told != 3 {
			t.Errorf("delivered was told of %d events, want 3", told)
		}
	})
}
