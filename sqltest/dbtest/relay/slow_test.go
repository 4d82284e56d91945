package relay_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// slow makes each call of a target longer than a lease.
func slow(target relay.Target, lease time.Duration) relay.Target {
	deliver := target.Deliver
	target.Deliver = func(c context.Context, db *sql.DB, entries []journal.Entry) relay.Result {
		select {
		case <-time.After(lease * 3 / 2):
			return deliver(c, db, entries)
		case <-c.Done():
			return relay.Result{Err: failure(c.Err())}
		}
	}
	return target
}

// TestSlowSink: two processes and a sink that takes longer than a lease for each
// call, with one event among others that it never takes. The others are delivered,
// and the attempt counts.
func TestSlowSink(t *testing.T) {
	for _, same := range []bool{false, true} {
		for _, conns := range []int{1, 3} {
			t.Run(fmt.Sprintf("same database=%v, connections=%d", same, conns), func(t *testing.T) {
				dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
					t.Parallel()
					undisturbed(t, slowLease/6, func() (*world, func() string) { return slowSink(newWorld(t, e), same, conns) })
				})
			})
		}
	}
}

// slowLease is the lease of TestSlowSink.
const slowLease = 600 * time.Millisecond

func slowSink(w *world, same bool, conns int) (*world, func() string) {
	w.Helper()
	const lease = slowLease
	l := newLedger(w)
	l.refuse = refuse("bad", false)
	w.sink.refuse = func(name string) error {
		if name == "bad" {
			return errTransient
		}
		return nil
	}
	target, got := slow(w.target(), lease), w.sink.all
	if same {
		target, got = slow(l.target(), lease), func() string { return strings.TrimSpace(l.rows()) }
	}
	target.Timeout = lease * 7 / 4 // two calls take longer than the lease and one
	var relays []*relay.Relay
	for _, holder := range []string{"first", "second"} {
		looks := w.db
		w.db = dbtest.Open(w.T, w.e.Driver, w.dsn)
		w.db.SetMaxOpenConns(conns)
		relays = append(relays, w.start(relay.Config{Holder: holder, Lease: lease, Targets: []relay.Target{target}}))
		w.db = looks
	}
	return w, func() string {
		w.commit("bad", "a", "b", "c", "d")
		w.drain(relays[0])
		// Looking for one that the sink takes may take some out of their order.
		delivered := strings.Fields(got())
		slices.Sort(delivered)
		if strings.Join(delivered, " ") != "a b c d" {
			return fmt.Sprintf("delivered [%s], want a b c d", got())
		}
		if f := w.failures(false); len(f) != 1 || f[0].Attempts != 1 {
			return fmt.Sprintf("failures %+v, want one attempt of one entry", f)
		}
		return ""
	}
}

// leaseUntil returns when the lease of a forwarder runs out.
func (w *world) leaseUntil(name string) (until time.Time) {
	w.Helper()
	w.must(w.db.QueryRowContext(ctx, "SELECT coalesce(lease_until, '2000-01-01') FROM aftercommit.cursors WHERE name = '"+name+"'").Scan(&until))
	return until
}

// TestRenewedWhileSinksAreBusy: leases last while sinks keep the connections that
// a pool has for them.
func TestRenewedWhileSinksAreBusy(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		entered, leave := make(chan string, 3), make(chan struct{})
		var targets []relay.Target
		for _, n := range []string{name, "b/default", "c/default"} {
			w.must(w.store.Register(ctx, w.db, n))
			targets = append(targets, relay.Target{Name: n, MaxAttempts: 5, Deliver: func(c context.Context, _ *sql.DB, _ []journal.Entry) relay.Result {
				entered <- n
				select {
				case <-leave:
					return relay.Result{}
				case <-c.Done():
					t.Errorf("%s: the call ended: %v", n, context.Cause(c))
					return dead
				}
			}})
		}
		w.commit("a")
		looks := w.db
		w.db = dbtest.Open(t, e.Driver, w.dsn)
		w.db.SetMaxOpenConns(3)
		const lease = 2 * time.Second
		r := w.start(relay.Config{Lease: lease, Targets: targets})
		w.db = looks
		busy := []string{<-entered, <-entered}
		for _, n := range busy {
			first := w.leaseUntil(n)
			w.until(n+" is renewed", func() bool { return w.leaseUntil(n).After(first.Add(lease)) })
		}
		close(leave)
		w.drain(r)
	}, dbtest.PostgresEngines()...)
}

// TestOvertakenDuringACall: a call ends when another process has the lease, and
// what it says then is held against nothing.
func TestOvertakenDuringACall(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		entered, ended := make(chan struct{}), make(chan error, 1)
		var once sync.Once
		target := w.target()
		target.Deliver = func(c context.Context, db *sql.DB, entries []journal.Entry) relay.Result {
			first := false
			once.Do(func() { first = true })
			if !first {
				return w.sink.deliver(c, db, entries)
			}
			close(entered)
			<-c.Done()
			ended <- context.Cause(c)
			return relay.Result{Err: failure(c.Err())}
		}
		w.commit("a", "b")
		r := w.start(relay.Config{Lease: 500 * time.Millisecond, Targets: []relay.Target{target}})
		<-entered
		w.lease("other", future)
		select {
		case err := <-ended:
			if !strings.Contains(err.Error(), "lost to another process") {
				t.Errorf("the call ended because of %v", err)
			}
		case <-time.After(dbtest.Patience):
			t.Fatal("the call goes on")
		}
		w.ticks(5) // it looks for the lease again, in vain
		if s := w.state(); s.Behind != 2 || s.Holder != "other" || s.Retrying > 0 {
			t.Errorf("something was written: %+v", s)
		}
		w.lease("other", past)
		w.drain(r)
		w.want("a b")
	}, dbtest.PostgresEngines()...)
}

// TestRenewedBesideALockedRow: a row that is locked keeps no other lease of the
// process from being renewed.
func TestRenewedBesideALockedRow(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		const other, lease = "b/default", 2 * time.Second
		w.must(w.store.Register(ctx, w.db, other))
		entered, leave := make(chan struct{}, 1), make(chan struct{})
		busy := relay.Target{Name: other, MaxAttempts: 5, Deliver: func(c context.Context, _ *sql.DB, _ []journal.Entry) relay.Result {
			select {
			case entered <- struct{}{}:
			default: // it was called before, which the end of that call shows
			}
			select {
			case <-leave:
				return relay.Result{}
			case <-c.Done():
				t.Errorf("the call ended: %v", context.Cause(c))
				return dead
			}
		}}
		w.commit("a")
		r := w.start(relay.Config{Lease: lease, Targets: []relay.Target{w.target(), busy}})
		<-entered
		w.until("the process has both", func() bool { h := w.holders(); return h[name] != "" && h[name] == h[other] })
		locker := w.begin()
		locker.exec("UPDATE aftercommit.cursors SET moved_at = moved_at WHERE name = '" + name + "'")
		first := w.leaseUntil(other)
		w.until("the other is renewed", func() bool { return w.leaseUntil(other).After(first.Add(2 * lease)) })
		locker.commit()
		close(leave)
		w.drain(r)
	}, dbtest.PostgresEngines()...)
}

// TestLockedRow: no process waits for another one that has a forwarder's row
// locked: neither to take the lease, nor to register the forwarder.
func TestLockedRow(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		locker := w.begin()
		locker.exec("UPDATE aftercommit.cursors SET moved_at = moved_at")
		w.commit("a")
		r := w.start(relay.Config{})
		w.ticks(10)
		w.want("")
		w.must(w.store.Register(ctx, w.db, name))
		w.must(w.store.Announce(ctx, w.db, name))
		locker.commit()
		w.drain(r)
		w.want("a")
	}, dbtest.PostgresEngines()...)
}

// TestLimits: the server ends the transaction of a delivery if its client is silent,
// or a statement takes longer, for a second more than a call may take. Nothing of
// that stays with the connection.
func TestLimits(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		const query = "SELECT current_setting('idle_in_transaction_session_timeout') || ' ' || current_setting('statement_timeout')"
		var within, after string
		target := relay.Target{Name: name, MaxAttempts: 5, SameDatabase: true, Timeout: 3 * time.Second, Deliver: func(c context.Context, db *sql.DB, entries []journal.Entry) relay.Result {
			w.must(db.QueryRowContext(c, query).Scan(&within))
			return w.sink.deliver(c, db, entries)
		}}
		db := w.one()
		w.must(db.QueryRowContext(ctx, query).Scan(&after))
		before := after
		w.commit("a")
		_, err := relay.CatchUp(ctx, w.store, db, relay.Config{Targets: []relay.Target{target}}, relay.Share{})
		w.must(err)
		w.must(db.QueryRowContext(ctx, query).Scan(&after))
		if within != "4s 4s" || after != before {
			t.Errorf("the limits are %q within a delivery, %q after it, and were %q", within, after, before)
		}
	}, dbtest.PostgresEngines()...)
}

// TestDeadConnection: a worker whose connection is dead keeps no other process
// from the work, though the rest of its own process is well; and with a driver that
// returns from it, it goes on itself.
func TestDeadConnection(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		p := dbtest.NewProxy(t, dbtest.Shared(t).Addr())
		looks := w.db
		w.commit("a")
		w.db = dbtest.Open(t, e.Driver, dbtest.Via(w.dsn, p.Addr()))
		trap := p.Next(dbtest.HoldStatement, having("ORDER BY e.xid, e.key LIMIT"))
		defer trap.Release()
		r := w.start(relay.Config{Holder: "first", Lease: 1500 * time.Millisecond})
		w.db = looks
		<-trap.Sprung()
		if e.Name == dbtest.PQ.Name {
			r = w.start(relay.Config{Holder: "second"})
		}
		w.drain(r)
		w.want("a")
		trap.Release()
	}, dbtest.PostgresEngines()...)
}

// TestLateVerdict: what a holder has on its way when it is overtaken is not written,
// neither about an entry that is tried again, nor about one that the journal does not have
// any more.
func TestLateVerdict(t *testing.T) {
	for _, gone := range []bool{false, true} {
		t.Run(fmt.Sprintf("gone=%v", gone), func(t *testing.T) {
			dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) { lateVerdict(newWorld(t, e), gone) }, dbtest.PostgresEngines()...)
		})
	}
}

func lateVerdict(w *world, gone bool) {
	w.Helper()
	refusal := errTransient
	w.sink.refuse = func(name string) error {
		if name == "bad" {
			return refusal
		}
		return nil
	}
	for _, n := range []string{"a", "bad", "b"} {
		w.commit(n)
	}
	r := w.start(relay.Config{})
	w.drain(r)
	w.must(r.Stop(ctx))
	refusal = permanent{errTransient}
	if gone {
		w.lose("bad")
	}
	w.clock.pass(time.Hour)

	p := dbtest.NewProxy(w.T, dbtest.Shared(w.T).Addr())
	trap := p.Next(dbtest.HoldStatement, having("INSERT INTO \"aftercommit\".retries"))
	defer trap.Release()
	looks := w.db
	w.db = dbtest.Open(w.T, w.e.Driver, dbtest.Via(w.dsn, p.Addr()))
	w.start(relay.Config{})
	w.db = looks
	<-trap.Sprung()
	w.lease("other", future)
	trap.Release()
	w.ticks(5)
	if f := w.failures(true); len(f) > 0 {
		w.Errorf("discarded %+v", f)
	}
}

// TestBlackHole: the holder's network is gone. Another process takes over, the
// call of the first ends, and when the network is back it is a candidate again.
func TestBlackHole(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		p := dbtest.NewProxy(t, dbtest.Shared(t).Addr())
		looks := w.db
		var calls atomic.Int64
		ended := make(chan error, 1)
		target := w.target()
		target.Deliver = func(c context.Context, db *sql.DB, entries []journal.Entry) relay.Result {
			if calls.Add(1) > 1 {
				return w.sink.deliver(c, db, entries)
			}
			<-c.Done()
			ended <- context.Cause(c)
			return relay.Result{} // which is not believed
		}
		w.commit("a")
		w.db = dbtest.Open(t, e.Driver, dbtest.Via(w.dsn, p.Addr()))
		trap := p.Next(dbtest.BlackHole, having("renewed AS"))
		defer trap.Release()
		first := w.start(relay.Config{Holder: "first", Lease: time.Second, Targets: []relay.Target{target}})
		w.db = looks
		<-trap.Sprung()
		second := w.start(relay.Config{Holder: "second"})
		w.drain(second)
		select {
		case err := <-ended:
			if err == nil {
				t.Error("the call ended without a cause")
			}
		case <-time.After(dbtest.Patience):
			t.Fatal("the call goes on")
		}
		w.want("a")
		trap.Release()
		w.must(second.Stop(ctx))
		w.commit("b")
		w.drain(first)
		w.want("a b")
	}, dbtest.PostgresEngines()...)
}

// TestStopInTheDark: a relay stops though its connections do not answer, whatever
// the driver does.
func TestStopInTheDark(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		p := dbtest.NewProxy(t, dbtest.Shared(t).Addr())
		trap := p.Next(dbtest.BlackHole, having("ORDER BY e.xid, e.key LIMIT"))
		defer trap.Release()
		w.commit("a")
		r := relay.Start(w.store, dbtest.Open(t, e.Driver, dbtest.Via(w.dsn, p.Addr())), relay.Config{Targets: []relay.Target{w.target()}})
		<-trap.Sprung()
		stop, cancel := context.WithCancel(ctx)
		cancel()
		stopped := make(chan error, 1)
		go func() { stopped <- r.Stop(stop) }()
		select {
		case err := <-stopped:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("Stop = %v", err)
			}
		case <-time.After(dbtest.Patience):
			t.Error("it does not stop")
		}
	}, dbtest.PostgresEngines()...)
}
