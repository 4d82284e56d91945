package relay_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func refuseBad(name string) error {
	if strings.HasPrefix(name, "bad") {
		return errTransient
	}
	return nil
}

// TestBadAround: bad entries at both ends, or several in a row, hold up no others, and
// an attempt at each is counted, while no time passes.
func TestBadAround(t *testing.T) {
	for _, names := range []string{"bad1 a b c bad2", "bad1 bad2 bad3 a b c", "a bad1 bad2 bad3 b bad4 c", "bad1 bad2 bad3 bad4 bad5 bad6 bad7 bad8 bad9 a b c"} {
		t.Run(names, func(t *testing.T) {
			each(t, func(w *world) {
				w.sink.refuse = refuseBad
				w.commit(strings.Fields(names)...)
				w.start(relay.Config{})
				w.until("the good ones are delivered", func() bool {
					all := w.sink.all()
					return contains(all, "a") && contains(all, "b") && contains(all, "c")
				})
				bad := strings.Count(names, "bad")
				w.until("the bad ones are held to account", func() bool { return len(w.failures(false)) == bad })
				for _, f := range w.failures(false) {
					if f.Attempts != 1 {
						t.Errorf("%d attempts are counted against %s", f.Attempts, f.EventID)
					}
				}
				if len(strings.Fields(w.sink.all())) != 3 {
					t.Errorf("delivered %s", w.sink.all())
				}
			})
		})
	}
}

// TestOnlyBad: where there are none but bad entries they wait, as they would for a sink
// that is down, and no attempt is counted. A good one is found among what is committed
// later, and then they count.
func TestOnlyBad(t *testing.T) {
	each(t, func(w *world) {
		w.sink.refuse = refuseBad
		w.commit("bad", "bad")
		r := w.start(relay.Config{})
		w.until("it is suspended", func() bool { return len(w.sink.told(hooks.NoticeSuspended)) == 1 })
		for range 3 {
			w.clock.pass(time.Minute)
			w.ticks(3)
		}
		if f := w.failures(false); len(f) > 0 {
			t.Errorf("counted: %+v", f)
		}
		w.commit("a", "bad")
		w.until("the good one is delivered", func() bool {
			w.clock.pass(time.Minute)
			w.ticks(2)
			return w.sink.all() == "a"
		})
		w.until("the bad ones are held to account", func() bool {
			w.commit("a")
			w.clock.pass(time.Minute)
			w.ticks(2)
			counted := 0
			for _, f := range w.failures(false) {
				if f.Attempts > 0 {
					counted++
				}
			}
			return counted == 3
		})
		w.must(r.Stop(ctx))
		if n := len(w.sink.told(hooks.NoticeResumed)); n == 0 {
			t.Error("that it takes entries again is not told")
		}
	})
}

// TestDownWithOneEvent: an event that waits while its sink is down for an hour, alone,
// is delivered afterwards. So is one that has failed before.
func TestDownWithOneEvent(t *testing.T) {
	each(t, func(w *world) {
		failing := "bad"
		w.sink.refuse = func(name string) error {
			if name == failing {
				return errTransient
			}
			return nil
		}
		w.commit("a", "bad")
		r := w.start(relay.Config{})
		w.until("it has failed", func() bool { return len(w.failures(false)) == 1 })
		w.sink.set(func(s *sink) { s.whole = errTransient })
		for range 60 {
			w.clock.pass(time.Minute)
			w.ticks(2)
		}
		if f := w.failures(false); len(f) != 1 || f[0].Attempts > 1 {
			t.Errorf("an hour of it is counted: %+v", f)
		}
		w.commit("b")
		for range 60 {
			w.clock.pass(time.Minute)
			w.ticks(2)
		}
		w.sink.set(func(s *sink) { s.whole, failing = nil, "" })
		w.until("both are delivered", func() bool {
			w.clock.pass(time.Minute)
			w.ticks(2)
			all := w.sink.all()
			return contains(all, "bad") && contains(all, "b")
		})
		w.drain(r)
		if f := w.failures(true); len(f) > 0 {
			t.Errorf("discarded: %+v", f)
		}
	})
}

// TestDownAfterATake: entries that fail because the sink goes down right after a call
// that it took are not blamed, even where the first attempt is the last.
func TestDownAfterATake(t *testing.T) {
	each(t, func(w *world) {
		up, takes := false, 1
		target := w.target()
		target.MaxAttempts = 1
		target.Deliver = func(c context.Context, db *sql.DB, entries []journal.Entry) relay.Result {
			w.sink.mu.Lock()
			takesIt := up || takes > 0 && len(entries) == 1
			if takesIt {
				takes--
			}
			w.sink.mu.Unlock()
			if !takesIt {
				return relay.Result{Err: failure(errTransient)}
			}
			return w.sink.deliver(c, db, entries)
		}
		names := strings.Fields("a b c d e f g h i j k l m n o p q r s t")
		w.commit(names...)
		r := w.start(relay.Config{Targets: []relay.Target{target}})
		w.until("it is suspended", func() bool { return len(w.sink.told(hooks.NoticeSuspended)) == 1 })
		if f := w.failures(true); len(f) > 0 {
			t.Errorf("discarded: %+v", f)
		}
		for _, f := range w.failures(false) {
			if f.Attempts > 0 {
				t.Errorf("blamed: %+v", f)
			}
		}
		w.sink.set(func(*sink) { up = true })
		w.until("all are delivered", func() bool {
			w.clock.pass(time.Minute)
			w.ticks(2)
			return len(strings.Fields(w.sink.all())) == len(names)
		})
		w.drain(r)
		if f := w.failures(true); len(f) > 0 {
			t.Errorf("discarded: %+v", f)
		}
	})
}

// TestFilteredIsNoProof: entries that a filter leaves out say nothing of a sink that is
// down, in whatever order.
func TestFilteredIsNoProof(t *testing.T) {
	each(t, func(w *world) {
		target := w.target()
		target.Deliver = func(_ context.Context, _ *sql.DB, entries []journal.Entry) (r relay.Result) {
			for _, e := range entries {
				if strings.HasPrefix(e.Target.ID, "left out") {
					r.Filtered++
				} else {
					r.Err = failure(errTransient)
				}
			}
			return r
		}
		for i := range 10 {
			w.commit("x", fmt.Sprint("left out ", i), "y")
		}
		w.start(relay.Config{Targets: []relay.Target{target}})
		w.until("it is suspended", func() bool { return len(w.sink.told(hooks.NoticeSuspended)) == 1 })
		for range 20 {
			w.clock.pass(time.Minute)
			w.ticks(2)
		}
		if f := w.failures(false); len(f) > 0 {
			t.Errorf("counted against %d entries", len(f))
		}
		if n := len(w.sink.told(hooks.NoticeResumed)); n > 0 {
			t.Errorf("it takes entries again, it says, %d times", n)
		}
	})
}

// TestNewOnesPassABadOneThatIsDue: one bad entry that is tried again, alone, does not
// make others wait for a pause.
func TestNewOnesPassABadOneThatIsDue(t *testing.T) {
	each(t, func(w *world) {
		w.sink.refuse = refuseBad
		w.commit("a", "bad")
		r := w.start(relay.Config{})
		w.until("it has failed", func() bool { return len(w.failures(false)) == 1 })
		w.clock.pass(time.Hour)
		w.until("it has failed alone", func() bool { return len(w.sink.told(hooks.NoticeSuspended)) == 1 })
		w.commit("b") // and no time passes
		w.drain(r)
		w.want("a b")
		w.until("the bad one is held to account", func() bool { return len(w.sink.told(hooks.NoticeFailed)) == 2 })
	})
}

// TestOvertakenAfterAProbe: what was accepted ahead of the cursor is forgotten if another
// process, or an operator, may have moved that since.
func TestOvertakenAfterAProbe(t *testing.T) {
	each(t, func(w *world) {
		w.sink.refuse = refuseBad
		target := w.target()
		deliver := target.Deliver
		target.Deliver = func(c context.Context, db *sql.DB, entries []journal.Entry) relay.Result {
			r := deliver(c, db, entries)
			if r.Err == nil && w.sink.all() == "a" {
				w.lease("other", future)
			}
			return r
		}
		w.commit("bad", "a")
		r := w.start(relay.Config{Targets: []relay.Target{target}})
		w.until("it is delivered ahead", func() bool { return w.sink.all() == "a" })
		w.ticks(5)
		w.lease("other", past)
		w.until("it comes again", func() bool { return w.sink.all() == "a a" })
		w.drain(r)
		w.want("a a")
	})
}

// TestDueTakeTurns: while a sink is suspended each of those that are due is tried, so that
// a bad one does not keep a good one waiting.
func TestDueTakeTurns(t *testing.T) {
	each(t, func(w *world) {
		good := "x"
		w.sink.refuse = func(name string) error {
			if name == good || name == "x" {
				return nil
			}
			return errTransient
		}
		w.commit("x", "a", "b", "c", "x")
		r := w.start(relay.Config{})
		w.until("they have failed", func() bool { return len(w.failures(false)) == 3 })
		w.commit("x") // which shows that the sink was up
		w.drain(r)
		last := w.lastDue()
		w.sink.set(func(*sink) { good = last })
		w.until("the good one is delivered", func() bool {
			w.clock.pass(time.Minute)
			w.ticks(2)
			return contains(w.sink.all(), last)
		})
		w.must(r.Stop(ctx))
	})
}

// lastDue is the name of the entry that is to be tried again last.
func (w *world) lastDue() string {
	w.Helper()
	failed := slices.MaxFunc(w.failures(false), func(a, b relay.Failed) int { return a.NextAt.Compare(b.NextAt) })
	for n, e := range w.entries() {
		if e.Position == failed.Position && e.ID == failed.EventID {
			return n
		}
	}
	w.Fatalf("the journal does not have %+v", failed)
	return ""
}

// TestUnwrittenVerdictsUseUpNoProof: where the database does not write what is held
// against an entry, that costs nothing of what is known of the sink, however often.
func TestUnwrittenVerdictsUseUpNoProof(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		w.sink.refuse = refuseBad
		_, err := w.db.ExecContext(ctx, `CREATE SEQUENCE tries;
			CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				IF nextval('public.tries') <= 60 THEN RAISE 'not now'; END IF;
				RETURN NEW;
			END $$;
			CREATE TRIGGER fail BEFORE INSERT ON aftercommit.retries FOR EACH ROW EXECUTE FUNCTION fail()`)
		w.must(err)
		w.commit("bad1", "bad2", "a", "b", "c")
		w.start(relay.Config{})
		w.until("the bad ones are held to account", func() bool { return len(w.failures(false)) == 2 })
		if n := len(w.sink.told(hooks.NoticeSuspended)); n > 0 {
			t.Errorf("it was suspended %d times", n)
		}
	}, dbtest.PostgresEngines()...)
}

// TestRefusedByHand: an operator leaves out an event that no process survives. It is a dead
// letter then, and can be replayed.
func TestRefusedByHand(t *testing.T) {
	each(t, func(w *world) {
		w.commit("a", "fatal", "b")
		fatal := w.entries()["fatal"]
		w.must(w.store.Refuse(ctx, w.db, name, []relay.Refusal{{Position: fatal.Position, ID: fatal.ID, Failure: relay.Failure{Reason: "fatal", Permanent: true}}}))
		r := w.start(relay.Config{})
		w.drain(r)
		w.want("a b")
		if f := w.failures(true); len(f) != 1 || f[0].Reason != "fatal" {
			w.Errorf("dead letters: %+v", f)
		}
		w.replay(relay.Selection{Forwarder: name, Reason: "fatal"})
		w.until("it is delivered after all", func() bool { return contains(w.sink.all(), "fatal") })
	})
}
