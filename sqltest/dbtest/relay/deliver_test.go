package relay_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ngrok/sqlmw"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func each(t *testing.T, f func(w *world)) {
	t.Helper()
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		f(newWorld(t, e))
	})
}

func TestDeliversInOrder(t *testing.T) {
	each(t, func(w *world) {
		w.commit("a", "b")
		r := w.start(relay.Config{Batch: 2})
		w.drain(r)
		w.commit("c", "d", "e")
		w.commit("f")
		w.drain(r)
		w.want("a b c d e f")
		w.must(r.Stop(ctx)) // what is told is told after the commit that ends Drain
		if told := w.sink.told(hooks.NoticeDelivered); len(told) != 6 {
			t.Errorf("delivered was told of %d events, want 6", len(told))
		}
	})
}

// TestStartsWhereItWasRegistered: what was committed before is not delivered.
func TestStartsWhereItWasRegistered(t *testing.T) {
	each(t, func(w *world) {
		w.commit("before")
		w.must(w.store.Register(ctx, w.db, "other/default"))
		w.commit("after")
		target := w.target()
		target.Name = "other/default"
		w.drain(w.start(relay.Config{Targets: []relay.Target{target}}))
		w.want("after")
	})
}

// TestMarks: a forwarder that is registered from a mark gets what was committed after it,
// unless the mark is of another database.
func TestMarks(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w, other := newWorld(t, e), newWorld(t, e)
		w.commit("before")
		own, err := w.store.Mark(ctx, w.db)
		w.must(err)
		foreign, err := other.store.Mark(ctx, other.db)
		w.must(err)
		w.commit("after")
		w.must(w.store.RegisterFrom(ctx, w.db, "own/default", own))
		w.must(w.store.RegisterFrom(ctx, w.db, "foreign/default", foreign))
		if own, foreign := w.behind("own/default"), w.behind("foreign/default"); own != 1 || foreign != 0 {
			t.Errorf("%d and %d entries wait, want 1 and 0", own, foreign)
		}
	}, dbtest.PostgresEngines()...)
}

// TestOneBadEntry: the others are delivered at once; the bad one is tried five
// times, later and later, while the sink takes others, and then discarded.
func TestOneBadEntry(t *testing.T) {
	each(t, func(w *world) {
		w.sink.refuse = func(name string) error {
			if name == "bad" {
				return errTransient
			}
			return nil
		}
		w.commit("a", "b", "bad", "c", "d")
		r := w.start(relay.Config{})
		w.drain(r)
		w.want("a b c d")
		for attempt := 1; attempt <= 5; attempt++ {
			w.until("attempt is told", func() bool { return len(w.sink.told(hooks.NoticeFailed)) == attempt })
			if attempt < 5 {
				f := w.failures(false)
				if len(f) != 1 || f[0].Attempts != attempt || f[0].Reason != "error" || f[0].Error != errTransient.Error() {
					t.Fatalf("failures %+v after attempt %d", f, attempt)
				}
				wait := f[0].NextAt.Sub(w.clock.Now())
				least := time.Duration(attempt*attempt*attempt*attempt)*time.Second + 15*time.Second
				if wait < least-time.Second || wait > least*11/10+time.Second {
					t.Errorf("attempt %d is followed by a wait of %v, want %v and up to a tenth more", attempt, wait, least)
				}
				w.commit(fmt.Sprint("after ", attempt))
				w.drain(r)
				w.clock.pass(wait)
				w.commit(fmt.Sprint("before ", attempt+1))
			}
		}
		w.until("it is discarded", func() bool { return len(w.failures(true)) == 1 })
		w.until("that is told", func() bool { return len(w.sink.told(hooks.NoticeDiscarded)) > 0 })
		if told := w.sink.told(hooks.NoticeDiscarded); len(told) != 1 || told[0] != "error 5" {
			t.Errorf("discarded was told as %q", told)
		}
		w.clock.pass(24 * time.Hour)
		w.commit("e")
		w.drain(r)
		w.want("a b c d after 1 before 2 after 2 before 3 after 3 before 4 after 4 before 5 e")
	})
}

// TestItPasses: an entry that was refused is delivered when the sink takes it.
func TestItPasses(t *testing.T) {
	each(t, func(w *world) {
		w.sink.refuse = func(name string) error {
			if name == "b" {
				return errTransient
			}
			return nil
		}
		w.commit("a", "b", "c")
		r := w.start(relay.Config{})
		w.drain(r)
		w.until("it has failed", func() bool { return len(w.failures(false)) == 1 })
		w.sink.set(func(s *sink) { s.refuse = nil })
		w.clock.pass(time.Hour)
		w.until("it is delivered", func() bool { return w.sink.all() == "a c b" })
		w.until("it is settled", func() bool { return len(w.failures(false)) == 0 })
	})
}

// TestClockJumps: a clock that goes back, and then on, delays a retry and nothing
// else.
func TestClockJumps(t *testing.T) {
	each(t, func(w *world) {
		bad := true
		w.sink.refuse = func(name string) error {
			if bad && name == "b" {
				return errTransient
			}
			return nil
		}
		w.commit("a", "b")
		r := w.start(relay.Config{})
		w.drain(r)
		w.until("it has failed", func() bool { return len(w.failures(false)) == 1 })
		w.clock.pass(-24 * time.Hour)
		w.sink.set(func(*sink) { bad = false })
		w.commit("c", "d")
		w.drain(r)
		w.want("a c d")
		w.clock.pass(48 * time.Hour)
		w.until("it is delivered", func() bool { return w.sink.all() == "a c d b" })
		w.until("it is settled", func() bool { return len(w.failures(false)) == 0 })
		w.commit("e")
		w.drain(r)
		w.want("a c d b e")
	})
}

func TestPermanentIsDiscardedAtOnce(t *testing.T) {
	each(t, func(w *world) {
		w.sink.whole = permanent{errors.New("never")}
		w.commit("a", "b")
		w.drain(w.start(relay.Config{}))
		f := w.failures(true)
		if len(f) != 2 || f[0].Attempts != 1 {
			t.Fatalf("discarded %+v, want a and b after one attempt", f)
		}
		if w.sink.calls != 1 {
			t.Errorf("%d calls, want 1", w.sink.calls)
		}
	})
}

// TestOutage: an hour in which the sink takes nothing costs no attempts, and
// few calls.
func TestOutage(t *testing.T) {
	each(t, func(w *world) {
		w.sink.whole = errTransient
		r := w.start(relay.Config{})
		for i := range 60 {
			w.commit("x")
			if i == 0 {
				w.until("it was tried", func() bool { return len(w.sink.told(hooks.NoticeSuspended)) > 0 })
			}
			w.clock.pass(time.Minute)
		}
		w.until("it is suspended", func() bool { return len(w.sink.told(hooks.NoticeSuspended)) == 1 })
		if f := w.failures(false); len(f) > 0 {
			t.Errorf("the outage wrote about %d entries: %+v", len(f), f[0])
		}
		w.sink.set(func(s *sink) { s.whole = nil })
		w.until("all are delivered", func() bool {
			w.clock.pass(time.Second)
			return strings.Count(w.sink.all(), "x") == 60
		})
		w.drain(r)
		if f := w.failures(true); len(f) > 0 {
			t.Errorf("%d were discarded: %+v", len(f), f[0])
		}
		w.must(r.Stop(ctx))
		if n := len(w.sink.told(hooks.NoticeResumed)); n != 1 {
			t.Errorf("its end was told %d times", n)
		}
		if w.sink.calls > 200 {
			t.Errorf("%d calls during the outage", w.sink.calls)
		}
	})
}

// TestStoppedDuringACall: what a sink answers after it was told to stop, because
// it was told, is held against no entry.
func TestStoppedDuringACall(t *testing.T) {
	for _, same := range []bool{false, true} {
		t.Run(fmt.Sprintf("same database %v", same), func(t *testing.T) {
			each(t, func(w *world) {
				w.commit("a", "b", "c")
				for _, batch := range []int{1, 3} {
					called, once := make(chan struct{}), sync.Once{}
					target := relay.Target{Name: name, MaxAttempts: 5, SameDatabase: same, Deliver: func(c context.Context, _ *sql.DB, _ []journal.Entry) relay.Result {
						once.Do(func() { close(called) })
						<-c.Done()
						return relay.Result{Err: failure(c.Err())}
					}}
					r := relay.Start(w.store, deaf(t, w.e, w.dsn), relay.Config{Targets: []relay.Target{target}, Batch: batch, Notify: w.sink.observe})
					<-called
					stop, cancel := context.WithCancel(ctx)
					cancel()
					if err := r.Stop(stop); !errors.Is(err, context.Canceled) {
						t.Errorf("Stop = %v", err)
					}
				}
				if f := w.failures(false); len(f) > 0 {
					t.Errorf("held against %d entries: %+v", len(f), f)
				}
				if len(w.sink.notices) > 0 {
					t.Errorf("told %+v", w.sink.notices)
				}
				w.drain(w.start(relay.Config{}))
				w.want("a b c")
			})
		})
	}
}

// TestStopWaitsForACall: a call that is running when the relay stops may finish, and
// what it delivers is noted. The other leases are free at once.
func TestStopWaitsForACall(t *testing.T) {
	each(t, func(w *world) {
		const other = "b/default"
		w.must(w.store.Register(ctx, w.db, other))
		w.commit("a")
		entered, leave := make(chan struct{}), make(chan struct{})
		slow := relay.Target{Name: other, MaxAttempts: 5, Deliver: func(c context.Context, _ *sql.DB, _ []journal.Entry) relay.Result {
			close(entered)
			<-leave
			if c.Err() != nil {
				return relay.Result{Err: failure(context.Cause(c))}
			}
			return relay.Result{}
		}}
		r := w.start(relay.Config{Lease: time.Hour, Targets: []relay.Target{w.target(), slow}})
		<-entered
		w.until("the process has both", func() bool { h := w.holders(); return h[name] != "" && h[other] != "" })
		stopped := make(chan error, 1)
		go func() { stopped <- r.Stop(ctx) }()
		w.until("the other lease is free", func() bool { return w.holders()[name] == "" })
		close(leave)
		w.must(<-stopped)
		if n := w.behind(other); n != 0 || w.holders()[other] != "" {
			t.Errorf("%d entries are left, and %q has the lease", n, w.holders()[other])
		}
	})
}

// deaf is a database that does not hear that a context has ended, as one over a
// fast connection may not.
func deaf(t *testing.T, e dbtest.Engine, dsn string) *sql.DB {
	t.Helper()
	name := dbtest.Wrap(t, e.Driver, func(base driver.Driver) driver.Driver { return sqlmw.Driver(base, earplug{}) })
	return dbtest.Open(t, name, dsn)
}

type earplug struct{ sqlmw.NullInterceptor }

func (earplug) ConnExecContext(c context.Context, conn driver.ExecerContext, query string, args []driver.NamedValue) (driver.Result, error) {
	return conn.ExecContext(context.WithoutCancel(c), query, args)
}

func (earplug) ConnQueryContext(c context.Context, conn driver.QueryerContext, query string, args []driver.NamedValue) (context.Context, driver.Rows, error) {
	c = context.WithoutCancel(c)
	rows, err := conn.QueryContext(c, query, args)
	return c, rows, err
}
