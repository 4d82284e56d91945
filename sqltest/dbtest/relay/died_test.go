package relay_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/ngrok/sqlmw"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// named returns n names, of which some are others.
func named(n int, bad ...int) (names, good []string) {
	for i := range n {
		names = append(names, fmt.Sprint(i))
	}
	for _, i := range bad {
		names[i] = fmt.Sprintf("bad%d", i)
	}
	for _, n := range names {
		if !strings.HasPrefix(n, "bad") {
			good = append(good, n)
		}
	}
	return names, good
}

// TestDied: a sink ends its process when it meets some events. They are found by a number
// of deaths that does not depend on how many others there are, and discarded. The others
// are delivered once, in order, and none of them has failed.
func TestDied(t *testing.T) {
	for _, c := range []struct {
		name   string
		n      int
		bad    []int
		m      mortal
		deaths int
	}{
		// One that is not stored, one with all, five alone.
		{"one of 25", 25, []int{12}, mortal{}, 7},
		{"the first", 5, []int{0}, mortal{}, 7},
		{"in the same database", 25, []int{12}, mortal{Same: true}, 7},
		{"all of one name", 5, []int{2}, mortal{Holder: "pod-1"}, 7},
		// Another one, with a part of them.
		{"one of 400", 400, []int{321}, mortal{}, 8},
		// The others are suspects already.
		{"several", 12, []int{0, 5, 6, 10}, mortal{}, 2 + 4*5},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(w *world) {
				names, good := named(c.n, c.bad...)
				w.commit(names...)
				var bad []string
				for _, i := range c.bad {
					bad = append(bad, names[i])
				}
				c.m.Fatal = bad
				g := newGrave(w, c.m)
				if n := g.deaths(g.done); n != c.deaths {
					w.Errorf("%d processes died, want %d", n, c.deaths)
				}
				g.wantInOrder(good)
				g.wantDead(5, bad...)
				g.wantWarned(bad[0], 5)
				g.wantNothingKept()
				calls := len(g.lines(name + " called"))
				g.commit("later")
				if g.deaths(g.done) > 0 || len(g.lines(name+" called")) != calls+1 {
					w.Error("what follows is not delivered in one call")
				}
			})
		})
	}
}

// TestDiedCatchingUp is TestDied where commits do the work.
func TestDiedCatchingUp(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		names, good := named(25, 12)
		w.commit(names...)
		g := newGrave(w, mortal{Fatal: []string{names[12]}, CatchUp: true, Later: time.Minute})
		if n := g.deaths(g.done); n != 7 {
			w.Errorf("%d processes died, want 7", n)
		}
		g.wantInOrder(good)
		g.wantDead(5, names[12])
		g.wantNothingKept()
	}, dbtest.SQLite)
}

// TestDiedWhenTriedAgain: an event is fatal only when it is tried again.
func TestDiedWhenTriedAgain(t *testing.T) {
	each(t, func(w *world) {
		names, _ := named(9, 4)
		w.commit(names...)
		g := newGrave(w, mortal{})
		if n := g.deaths(g.done); n > 0 {
			w.Fatalf("%d processes died", n)
		}
		_, err := w.store.Replay(ctx, w.db, relay.Selection{Forwarder: name, From: time.Now().Add(-time.Hour)}, false)
		w.must(err)
		g.m.Fatal, g.m.Later = []string{names[4]}, time.Minute
		if n := g.deaths(g.done); n != 6 { // the one before has not given its lease back either
			w.Errorf("%d processes died, want 6", n)
		}
		if got, want := g.got(), "0 1 2 3 bad4 5 6 7 8 0 1 2 3 5 6 7 8"; got != want {
			w.Errorf("delivered [%s], want [%s]", got, want)
		}
		g.wantDead(5, names[4])
		g.wantNothingKept()
	})
}

// TestDiedMoreAttempts: with more attempts than the deaths by which an event is found, it is
// tried again after a while, and each further death counts.
func TestDiedMoreAttempts(t *testing.T) {
	each(t, func(w *world) {
		names, good := named(9, 4)
		w.commit(names...)
		g := newGrave(w, mortal{Fatal: []string{names[4]}, Attempts: 7})
		retried := func(attempts int) func() bool {
			return func() bool {
				f := g.failures(false)
				return len(f) == 1 && f[0].Attempts == attempts && g.behind(name) == 0
			}
		}
		if n := g.deaths(retried(5)); n != 7 {
			w.Errorf("%d processes died, want 7", n)
		}
		g.wantInOrder(good)
		g.m.Later = 12 * time.Minute
		if n := g.deaths(retried(6)); n != 1 {
			w.Errorf("%d processes died when it was tried again, want 1", n)
		}
		g.m.Later = time.Hour
		if n := g.deaths(g.done); n != 1 {
			w.Errorf("%d processes died when it was tried for the last time, want 1", n)
		}
		g.wantDead(7, names[4])
		g.wantNothingKept()
	})
}

// TestKilledFromOutside: processes that are killed while calls of good events run count
// nothing against these.
func TestKilledFromOutside(t *testing.T) {
	each(t, func(w *world) {
		names, _ := named(12)
		w.commit(names...)
		g := newGrave(w, mortal{Held: true})
		for i := range 6 {
			if g.live(func() bool { return len(g.lines("held")) > i }) {
				w.Fatal("the process died by itself")
			}
		}
		g.m.Held = false
		if n := g.deaths(g.done); n > 0 {
			w.Errorf("%d processes died", n)
		}
		if got := g.got(); got != strings.Join(names, " ") {
			w.Errorf("delivered [%s], want [%s]", got, strings.Join(names, " "))
		}
		g.wantDead(0)
		g.wantNothingKept()
	})
}

// TestDiedBeside: another sink, whose calls run when processes die, has no failure.
func TestDiedBeside(t *testing.T) {
	each(t, func(w *world) {
		w.must(w.store.Register(ctx, w.db, besides))
		names, good := named(3, 1)
		w.commit(names...)
		g := newGrave(w, mortal{Fatal: []string{names[1]}, Beside: true})
		g.deaths(g.done)
		g.wantInOrder(good)
		g.wantDead(5, names[1])
		for _, n := range names {
			if !strings.Contains(strings.Join(g.lines("slow"), " "), n) {
				w.Errorf("the slow sink has not got %s", n)
			}
		}
	})
}

// TestFatalAlone: an event after which nothing follows may be no worse than others. It is
// not called until another one shows that, or some time has passed.
func TestFatalAlone(t *testing.T) {
	each(t, func(w *world) {
		w.commit("bad")
		g := newGrave(w, mortal{Fatal: []string{"bad"}})
		suspended := func(n int) func() bool {
			return func() bool { return len(g.lines(name+" suspended died")) >= n }
		}
		if n := g.deaths(suspended(1)); n != 6 {
			w.Errorf("%d processes died, want 6", n)
		}
		if n := g.deaths(suspended(2)); n != 0 || len(g.failures(true)) > 0 {
			w.Errorf("%d more processes died, and %v is discarded", n, g.failures(true))
		}
		g.m.Later = 11 * time.Minute
		if n := g.deaths(suspended(3)); n != 1 {
			w.Errorf("%d processes died after a while, want 1", n)
		}
		w.commit("good")
		if n := g.deaths(g.done); n != 0 || g.got() != "good" {
			w.Errorf("%d processes died, and [%s] is delivered", n, g.got())
		}
		g.wantDead(6, "bad")
		g.wantNothingKept()
	})
}

// TestFatalSink: a sink that ends its process whatever it gets costs no event, and soon
// no process any more, until some time has passed.
func TestFatalSink(t *testing.T) {
	each(t, func(w *world) {
		names, _ := named(12)
		w.commit(names...)
		g := newGrave(w, mortal{Fatal: []string{"*"}})
		over := func(n int) func() bool {
			return func() bool { return len(g.lines(name+" suspended died")) >= n }
		}
		// As for one event, and four others.
		if n := g.deaths(over(1)); n != 11 {
			w.Errorf("%d processes died, want 11", n)
		}
		w.commit("more")
		if n := g.deaths(over(2)); n != 0 {
			w.Errorf("%d more processes died", n)
		}
		g.m.Later = 11 * time.Minute
		if n := g.deaths(over(3)); n == 0 {
			w.Error("nothing was tried after a while")
		}
		g.m.Fatal, g.m.Later = nil, 22*time.Minute
		if n := g.deaths(g.done); n != 0 {
			w.Errorf("%d processes died of a sink that works", n)
		}
		for _, n := range append(names, "more") {
			if !contains(g.got(), n) {
				w.Errorf("%s is not delivered", n)
			}
		}
		g.wantDead(0)
		g.wantNothingKept()
	})
}

// TestStoresNoCalls: as long as each holder gives its lease back, nothing is written about
// calls; the first call after one that has not is stored before it is made, and removed.
func TestStoresNoCalls(t *testing.T) {
	each(t, func(w *world) {
		stored := &writes{having: having("'calling'")}
		counted := dbtest.Wrap(t, w.e.Driver, func(base driver.Driver) driver.Driver { return sqlmw.Driver(base, stored) })
		w.db = dbtest.Open(t, counted, w.dsn)
		deliver := func(holder, names string) {
			w.commit(strings.Fields(names)...)
			r := w.start(relay.Config{Batch: 2, Holder: holder})
			w.drain(r)
			w.must(r.Stop(ctx))
		}
		deliver("first", "1 2 3 4 5")
		deliver("second", "6 7 8")
		if n := stored.n.Load(); n != 0 {
			w.Errorf("%d statements without a death", n)
		}
		w.lease("dead", past)
		deliver("third", "9 10 11 12 13")
		if n := stored.n.Load(); n != 1 {
			w.Errorf("%d calls are stored after a death, want 1", n)
		}
		(&grave{world: w}).wantNothingKept()
	})
}

// writes counts statements that write.
type writes struct {
	sqlmw.NullInterceptor
	having func(string) bool
	n      atomic.Int64
}

func (s *writes) ConnExecContext(c context.Context, conn driver.ExecerContext, query string, args []driver.NamedValue) (driver.Result, error) {
	if s.having(query) {
		s.n.Add(1)
	}
	return conn.ExecContext(c, query, args)
}

// TestOldProofs: what the sink has accepted before a process died in a call with an event
// does not show that the event is at fault.
func TestOldProofs(t *testing.T) {
	each(t, func(w *world) {
		began := w.clock.Now()
		target := w.target()
		target.Accepted = func() time.Time { return began.Add(time.Second) }
		target.Deliver = func(c context.Context, db *sql.DB, entries []journal.Entry) relay.Result {
			if e := entries[0]; e.Target.ID == "b" {
				w.clock.pass(time.Minute)
				w.lease("dead", past)
				w.died(e.ID, 5)
			}
			return w.sink.deliver(c, db, entries)
		}
		r := w.start(relay.Config{Targets: []relay.Target{target}})
		w.commit("a")
		w.drain(r)
		w.commit("b")
		w.until("b is not tried again", func() bool { return len(w.sink.told(hooks.NoticeSuspended)) > 0 })
		w.want("a b") // the answer of its call came too late
		if f := w.failures(true); len(f) > 0 {
			w.Errorf("discarded: %+v", f)
		}
		w.commit("c")
		w.clock.pass(2 * time.Second)
		w.drain(r)
		w.want("a b c")
		if f := w.failures(true); len(f) != 1 || f[0].Reason != "died" {
			w.Errorf("discarded: %+v, want b", f)
		}
	})
}

// died stores that processes have died in calls with an event alone.
func (w *world) died(id uuid.UUID, times int) {
	w.Helper()
	known := fmt.Sprintf(`{"alone":{"%s":{"deaths":%d,"last":"%s"}}}`, id, times, w.clock.Now().UTC().Format(time.RFC3339Nano))
	_, err := w.db.ExecContext(ctx, "INSERT INTO "+w.own("failures")+" VALUES ('"+name+"', '"+uuid.Max.String()+"', 'calling', 0, '"+past+"', 'died', '"+known+"', '"+past+"', '"+past+"')")
	w.must(err)
}

// TestFatalProbe: an event that is tried instead of a fatal one, and is fatal too, ends one
// process.
func TestFatalProbe(t *testing.T) {
	each(t, func(w *world) {
		w.commit("bad")
		g := newGrave(w, mortal{Fatal: []string{"bad", "worse"}})
		suspended := func(n int) func() bool {
			return func() bool { return len(g.lines(name+" suspended died")) >= n }
		}
		g.deaths(suspended(1))
		w.commit("worse")
		if n := g.deaths(suspended(2)); n != 1 {
			w.Errorf("%d processes died, want 1", n)
		}
	})
}
