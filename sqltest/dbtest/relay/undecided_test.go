package relay_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// eachUndecided plays databases that wait for Resume: c is a copy of a world in which a and b
// were delivered, and c and d were not. In old worlds all of that was long ago.
func eachUndecided(t *testing.T, f func(t *testing.T, c *world)) {
	t.Helper()
	fresh := dbtest.Start(t, nil)
	for _, old := range []bool{false, true} {
		age := func(w *world) *world {
			if old {
				w.shiftClocks(-time.Hour)
			}
			return w
		}
		when := "just made"
		if old {
			when = "an old"
		}
		dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
			for where, dsn := range map[string]func(testing.TB) string{"in the same server": e.DSN, "in a new server": fresh.Database} {
				t.Run(when+" copy "+where, func(t *testing.T) {
					w := newWorld(t, e)
					w.burn(3000)
					partlyDelivered(w)
					w.burn(3000)
					w.commit("d")
					f(t, age(w.copyTo(dsn(t))))
				})
			}
		}, dbtest.PGX)
		each(t, func(w *world) {
			w.Run(when+" copy with another environment", func(t *testing.T) {
				c := *partlyDelivered(w)
				c.commit("d")
				c.T, c.sink = t, &sink{}
				var err error
				c.store, err = relay.New(w.e.Dialect, &relay.Options{Environment: "copy"})
				c.must(err)
				f(t, age(&c))
			})
		})
	}
}

// partlyDelivered is w with a, b and c of which c was not delivered.
func partlyDelivered(w *world) *world {
	w.Helper()
	r := w.start(relay.Config{})
	w.commit("a")
	w.drain(r)
	w.commit("b")
	w.drain(r)
	w.must(r.Stop(ctx))
	w.commit("c")
	return w
}

// burn uses up numbers of transactions.
func (w *world) burn(n int) {
	w.Helper()
	w.exec(fmt.Sprintf("DO $$ BEGIN FOR i IN 1..%d LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$", n))
}

// shiftClocks makes what was written by now look as if the clocks had been another.
func (w *world) shiftClocks(by time.Duration) {
	w.Helper()
	if w.e.Dialect == hooks.SQLite {
		w.exec(fmt.Sprintf("UPDATE %s SET recorded_at = strftime('%%Y-%%m-%%dT%%H:%%M:%%f', recorded_at, '%d seconds') || '000Z'", w.own("journal"), int(by.Seconds())))
		return
	}
	s := fmt.Sprintf(" + interval '%d s'", int(by.Seconds()))
	w.exec("UPDATE aftercommit.journal SET recorded_at = recorded_at" + s + ", tx_started_at = tx_started_at" + s)
	w.exec("UPDATE aftercommit.cursors SET safe_at = safe_at" + s + ", mark_at = mark_at" + s)
}

// TestPurgeBeforeTheDecision: while nobody has decided what a forwarder gets of a copy, nothing
// of it is deleted, and Resume with replay still gives it everything.
func TestPurgeBeforeTheDecision(t *testing.T) {
	eachUndecided(t, func(t *testing.T, c *world) {
		for range 2 { // before, and after a program has started
			if p := c.purge(1); p != (relay.Purged{Kept: 4, Elsewhere: name}) {
				t.Errorf("Purge = %+v, want everything to be kept for %s", p, name)
			}
			c.must(c.store.Register(ctx, c.db, name))
		}
		c.commit("meanwhile")
		if p := c.purge(1); p.Events != 0 || p.Kept != 5 {
			t.Errorf("Purge = %+v, want 5 to be kept", p)
		}
		_, err := c.store.Resume(ctx, c.db, name, true)
		c.must(err)
		c.purge(1) // keeps what is to be replayed
		c.clock.pass(time.Hour)
		c.drain(c.start(relay.Config{}))
		for _, n := range []string{"c", "d", "meanwhile"} {
			c.until(n+" is delivered", func() bool { return contains(c.sink.all(), n) })
		}
		c.until("all is settled", func() bool { return c.state().Retrying == 0 })
		if p := c.purge(1); p.Kept != 0 || p.Elsewhere != "" || c.left() != "" {
			t.Errorf("Purge = %+v afterwards, and [%s] is left", p, c.left())
		}
	})
}

// TestPurgeAfterRetire: a forwarder that is not needed in a copy keeps nothing there.
func TestPurgeAfterRetire(t *testing.T) {
	eachUndecided(t, func(t *testing.T, c *world) {
		c.must(c.store.Retire(ctx, c.db, name))
		if p := c.purge(1); p != (relay.Purged{Events: 4}) {
			t.Errorf("Purge = %+v, want everything to be deleted", p)
		}
	})
}

// TestStatesBeforeTheDecision: a copy says how much waits, as Resume does.
func TestStatesBeforeTheDecision(t *testing.T) {
	eachUndecided(t, func(t *testing.T, c *world) {
		c.must(c.store.Register(ctx, c.db, name))
		c.commit("meanwhile")
		oldest := c.entries()["c"].RecordedAt
		s := c.state()
		if !s.Elsewhere || s.Behind < 3 || s.Oldest.IsZero() || s.Oldest.After(oldest) {
			t.Errorf("%+v, want at least 3 behind, the oldest of %v", s, oldest)
		}
		n, err := c.store.Resume(ctx, c.db, name, true)
		c.must(err)
		if n != s.Behind {
			t.Errorf("Resume = %d, States said %d", n, s.Behind)
		}
		if s = c.state(); s.Elsewhere || s.Behind != 0 || s.Retrying != n {
			t.Errorf("%+v after Resume", s)
		}
	})
}

// TestReplayWhateverTheClocks: which entries a forwarder may have missed does not depend on
// clocks: neither on that of the original, which may have been ahead once, nor on the copy's.
func TestReplayWhateverTheClocks(t *testing.T) {
	fresh := dbtest.Start(t, nil)
	const ahead = time.Hour
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		for where, dsn := range map[string]func(testing.TB) string{"same server": e.DSN, "new server": fresh.Database} {
			t.Run("original ahead once and behind since, "+where, func(t *testing.T) {
				w := newWorld(t, e)
				w.burn(7000)
				w.commit("a")
				r := w.start(relay.Config{})
				w.drain(r)
				w.shiftClocks(ahead)
				w.commit("b")
				w.drain(r)
				w.must(r.Stop(ctx))
				w.commit("c")
				w.set(w.entries()["c"].Key, "recorded_at = recorded_at - interval '1 hour'")
				c := w.copyTo(dsn(t))
				c.must(c.store.Register(ctx, c.db, name))
				c.commit("meanwhile")
				c.replays("c", "meanwhile")
			})
			t.Run("copy behind, "+where, func(t *testing.T) {
				w := newWorld(t, e)
				w.burn(7000)
				partlyDelivered(w)
				w.burn(3000)
				w.commit("d")
				w.shiftClocks(ahead) // as a clock sees it that is behind
				c := w.copyTo(dsn(t))
				c.commit("early")
				c.must(c.store.Register(ctx, c.db, name))
				c.commit("meanwhile")
				c.burn(6000) // so that numbers of restored transactions are over here, too
				c.commit("late")
				c.replays("c", "d", "early", "meanwhile", "late")
			})
		}
	}, dbtest.PostgresEngines()...)
}

// replays checks that Resume with replay delivers these, and at most once.
func (w *world) replays(names ...string) {
	w.Helper()
	n, err := w.store.Resume(ctx, w.db, name, true)
	w.must(err)
	w.clock.pass(2 * time.Hour)
	w.drain(w.start(relay.Config{}))
	w.until("all is settled", func() bool { return w.state().Retrying == 0 })
	w.Logf("%d replayed: %s", n, w.sink.all())
	for _, n := range names {
		if !contains(w.sink.all(), n) {
			w.Errorf("%s is missed; delivered [%s]", n, w.sink.all())
		}
	}
}

// TestSafeAtFollowsTheClock: once the server's clock has been set right, what was recorded while
// it was ahead is not what a copy takes for delivered until then.
func TestSafeAtFollowsTheClock(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		r := w.start(relay.Config{})
		w.commit("a")
		w.drain(r)
		w.shiftClocks(time.Hour)
		w.commit("b")
		w.drain(r)
		var ahead bool
		w.must(w.db.QueryRowContext(ctx, "SELECT safe_at > clock_timestamp() FROM aftercommit.cursors").Scan(&ahead))
		if ahead {
			t.Error("everything up to a time that has not come yet is said to be delivered")
		}
	}, dbtest.PQ)
}

// TestReplayedOnceOnly: what was replayed in a copy is not what a copy of this one replays.
func TestReplayedOnceOnly(t *testing.T) {
	fresh := dbtest.Start(t, nil)
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		w.burn(7000)
		partlyDelivered(w)
		c := w.copyTo(fresh.Database(t))
		c.must(c.store.Register(ctx, c.db, name))
		c.replays("c")
		c.exec("UPDATE aftercommit.journal SET recorded_at = recorded_at - interval '1 hour'")
		second := c.copyTo(fresh.Database(t))
		second.replays()
		if contains(second.sink.all(), "c") {
			t.Errorf("delivered [%s] again", second.sink.all())
		}
	}, dbtest.PQ)
}

// TestReplayHasAMargin: of what an earlier version has adopted only the times are known.
func TestReplayHasAMargin(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		w.commit("a", "b")
		entries := w.entries()
		w.drain(w.start(relay.Config{}))
		w.commit("c")
		w.drain(w.start(relay.Config{}))
		c := w.copyTo(e.DSN(t))
		c.set(entries["a"].Key, "xid = '3', recorded_at = (SELECT safe_at - interval '50 seconds' FROM aftercommit.cursors)")
		c.set(w.entries()["c"].Key, "xid = '3', recorded_at = (SELECT safe_at - interval '70 seconds' FROM aftercommit.cursors)")
		c.replays("a", "b")
		if contains(c.sink.all(), "c") {
			t.Errorf("delivered [%s], c too", c.sink.all())
		}
	}, dbtest.PQ)
}
