package relay_test

import (
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// xid gives the transaction its number before it records anything.
func (t *tx) xid() { t.exec("SELECT pg_current_xact_id()") }

// TestReplayAfterCopy: a transaction that was in flight while later entries were
// delivered, and has not been delivered when the copy is made, is replayed.
func TestReplayAfterCopy(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		for _, when := range []string{"delivered", "registered"} {
			t.Run(when, func(t *testing.T) {
				w := newWorld(t, e)
				forwarder := name
				r := w.start(relay.Config{})
				w.commit("first")
				w.drain(r)
				a, b := w.begin(), w.begin()
				a.xid()
				b.xid()
				b.record("late")
				a.record("early")
				a.commit()
				if when == "delivered" {
					w.drain(r)
				} else {
					forwarder = "new/default"
					w.must(w.store.Register(ctx, w.db, forwarder))
				}
				w.must(r.Stop(ctx))
				b.commit() // and nobody delivers it
				var err error
				// The name stands for a copy of the files, where the server has the same too.
				w.store, err = relay.New(e.Dialect, &relay.Options{Environment: "copy"})
				w.must(err)
				n, err := w.store.Resume(ctx, w.db, forwarder, true)
				w.must(err)
				w.clock.pass(time.Hour)
				target := w.target()
				target.Name = forwarder
				w.sink.got = nil
				w.drain(w.start(relay.Config{Targets: []relay.Target{target}}))
				w.until("what was in flight is replayed", func() bool { return contains(w.sink.all(), "late") })
				t.Logf("%d replayed: %s", n, w.sink.all())
			})
		}
	}, dbtest.PostgresEngines()...)
}

// TestReplayOfWhatWasInFlight: by the server's clock, only that is safe in a copy which was
// recorded before all transactions of that time were over; what a clock that is set back by less
// than a minute has recorded is replayed, too.
func TestReplayOfWhatWasInFlight(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		r := w.start(relay.Config{})
		tick := func(name string) { // ten minutes after the one before
			w.exec("UPDATE aftercommit.cursors SET mark_at = mark_at - interval '10 minutes', safe_at = safe_at - interval '10 minutes'")
			w.exec("UPDATE aftercommit.journal SET recorded_at = recorded_at - interval '10 minutes'")
			w.commit(name)
			w.drain(r)
		}
		w.commit("first")
		w.drain(r)
		long := w.begin()
		long.record("long")
		tick("a")
		tick("b")
		w.must(r.Stop(ctx))
		long.commit()
		w.set(w.entries()["long"].Key, "recorded_at = recorded_at - interval '20 minutes'") // of two ticks
		var err error
		w.store, err = relay.New(e.Dialect, &relay.Options{Environment: "copy"})
		w.must(err)
		_, err = w.store.Resume(ctx, w.db, name, true)
		w.must(err)
		w.clock.pass(time.Hour)
		w.sink.got = nil
		r = w.start(relay.Config{})
		w.until("what was in flight is replayed", func() bool { return contains(w.sink.all(), "long") })
		tick("c")
		tick("d")
		tick("e")
		w.must(r.Stop(ctx))
		w.commit("back", "again")
		w.set(w.entries()["back"].Key, "recorded_at = (SELECT safe_at - interval '50 seconds' FROM aftercommit.cursors)")
		w.store, err = relay.New(e.Dialect, &relay.Options{Environment: "another copy"})
		w.must(err)
		_, err = w.store.Resume(ctx, w.db, name, true)
		w.must(err)
		w.clock.pass(time.Hour)
		w.sink.got = nil
		w.start(relay.Config{})
		w.until("what was recorded before the clock was set back is replayed", func() bool { return contains(w.sink.all(), "back") })
		if contains(w.sink.all(), "first") {
			w.Errorf("all is replayed: %s", w.sink.all())
		}
	}, dbtest.PostgresEngines()...)
}
