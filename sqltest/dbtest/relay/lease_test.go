package relay_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ngrok/sqlmw"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// holders returns who delivers to each forwarder.
func (w *world) holders() map[string]string {
	w.Helper()
	states, err := w.store.States(ctx, w.db)
	w.must(err)
	holders := make(map[string]string)
	for _, s := range states {
		holders[s.Forwarder] = s.Holder
	}
	return holders
}

// lease writes who has the lease, and until when: an expression of SQL.
func (w *world) lease(holder, until string) {
	w.Helper()
	_, err := w.db.ExecContext(ctx, "UPDATE "+w.own("cursors")+" SET holder = '"+holder+"', fence = fence + 1, lease_until = '"+until+"' WHERE name = '"+name+"'")
	w.must(err)
}

const (
	past   = "2000-01-01T00:00:00.000000Z"
	future = "2100-01-01T00:00:00.000000Z"
)

// TestOneDelivers: of two relays one works for a forwarder, and the other when
// that stops.
func TestOneDelivers(t *testing.T) {
	each(t, func(w *world) {
		first := w.start(relay.Config{Holder: "first"})
		w.commit("a")
		w.drain(first)
		second := w.start(relay.Config{Holder: "second"})
		w.commit("b")
		w.drain(second) // which waits for the first
		w.want("a b")
		if h := w.holders()[name]; h != "first" {
			t.Errorf("%q has the lease, want first", h)
		}
		w.must(first.Stop(ctx))
		w.commit("c")
		w.drain(second)
		w.want("a b c")
		if h := w.holders()[name]; h != "second" {
			t.Errorf("%q has the lease, want second", h)
		}
	})
}

// TestForwardersAreShared: a process that comes later gets its part, and what it
// had when it goes is taken over.
func TestForwardersAreShared(t *testing.T) {
	each(t, func(w *world) {
		targets := []relay.Target{w.target()}
		for _, n := range []string{"b/default", "c/default", "d/default"} {
			w.must(w.store.Register(ctx, w.db, n))
			target := w.target()
			target.Name = n
			targets = append(targets, target)
		}
		const lease = 600 * time.Millisecond
		have := func(first, second int) func() bool {
			return func() bool {
				n := make(map[string]int)
				for _, h := range w.holders() {
					n[h]++
				}
				return n["first"] == first && n["second"] == second
			}
		}
		start := func(holder string) *relay.Relay {
			all := w.db
			defer func() { w.db = all }()
			// Connections that stay: on a new one it would take its leases again,
			// and with that only its share.
			w.db = dbtest.Open(w.T, w.e.Driver, w.dsn)
			w.db.SetMaxOpenConns(2)
			w.db.SetMaxIdleConns(2)
			return w.start(relay.Config{Holder: holder, Lease: lease, Targets: targets})
		}
		start("first")
		w.until("the first has all", have(4, 0))
		second := start("second")
		w.until("both have two", have(2, 2))
		w.must(second.Stop(ctx))
		w.until("the first has all again", have(4, 0))
		start("second")
		w.until("both have two again", have(2, 2))
		w.commit("x")
		w.until("x is delivered to each", func() bool { return w.sink.all() == "x x x x" })
	})
}

// TestRenewedTooLate: a lease that is given back while it is being renewed stays given back.
// It would look like one on offer, which a process takes above its share.
func TestRenewedTooLate(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		var released atomic.Int32 // before this many renewals
		release := func() {
			_, err := w.db.ExecContext(ctx, "UPDATE "+w.own("cursors")+" SET holder = NULL, lease_until = NULL WHERE name = '"+name+"'")
			w.must(err)
			released.Add(1)
		}
		all := w.db
		w.db = dbtest.Open(t, dbtest.Wrap(t, e.Driver, func(d driver.Driver) driver.Driver {
			return sqlmw.Driver(d, aheadOf{text: "renewed AS", do: release})
		}), w.dsn)
		w.db.SetMaxOpenConns(2) // one to renew
		r := w.start(relay.Config{Lease: brisk})
		w.db = all
		w.until("a lease is renewed after its release", func() bool { return released.Load() > 0 })
		w.must(r.Stop(ctx))
		var until sql.NullString
		w.must(w.db.QueryRowContext(ctx, "SELECT lease_until FROM "+w.own("cursors")+" WHERE name = '"+name+"'").Scan(&until))
		if until.Valid {
			w.Errorf("the lease was renewed until %s", until.String)
		}
	}, dbtest.PostgresEngines()...)
}

// TestTheDeadAreForgotten: a process that died does not count when forwarders are
// shared out.
func TestTheDeadAreForgotten(t *testing.T) {
	each(t, func(w *world) {
		_, err := w.db.ExecContext(ctx, "INSERT INTO "+w.own("workers")+" (name, seen_at) VALUES ('dead', '"+past+"')")
		w.must(err)
		w.drain(w.start(relay.Config{}))
		var n int
		w.until("the dead process is forgotten", func() bool {
			w.must(w.db.QueryRowContext(ctx, "SELECT count(*) FROM "+w.own("workers")+" WHERE name = 'dead'").Scan(&n))
			return n == 0
		})
	})
}

// TestHolderFromNowhere: what somebody holds who is not heard of waits for the
// end of the lease.
func TestHolderFromNowhere(t *testing.T) {
	each(t, func(w *world) {
		w.lease("nobody", future)
		w.commit("a")
		r := w.start(relay.Config{})
		w.ticks(10)
		w.want("")
		w.lease("nobody", past)
		w.drain(r)
		w.want("a")
	})
}

// TestOvertaken: a holder whose lease is taken while it delivers moves nothing,
// and notices.
func TestOvertaken(t *testing.T) {
	for _, same := range []bool{false, true} {
		t.Run(fmt.Sprintf("same database=%v", same), func(t *testing.T) {
			dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
				overtake(newWorld(t, e), same)
			}, dbtest.PostgresEngines()...)
		})
	}
}

func overtake(w *world, same bool) {
	w.Helper()
	l := newLedger(w)
	entered, leave := make(chan struct{}), make(chan struct{})
	slow := l.target()
	slow.SameDatabase = same
	slow.Deliver = func(c context.Context, db *sql.DB, entries []journal.Entry) relay.Result {
		r := l.deliver(c, db, entries)
		select {
		case <-entered: // the second time it has no business here
		default:
			close(entered)
			<-leave
		}
		return r
	}
	w.commit("a", "b")
	r := w.start(relay.Config{Targets: []relay.Target{slow}, Batch: 1})
	<-entered
	w.lease("other", future)
	close(leave)
	w.ticks(5)
	want := "a " // it was taken before
	if same {
		want = ""
	}
	if got := l.rows(); got != want {
		w.Errorf("the one that was overtaken has delivered [%s], want [%s]", got, want)
	}
	if s := w.state(); s.Behind != 2 || s.Holder != "other" {
		w.Errorf("the cursor has moved, or the lease is gone: %+v", s)
	}
	w.lease("other", past)
	w.drain(r)
	if got := l.rows(); got != want+"a b " {
		w.Errorf("delivered [%s], want [%sa b]", got, want)
	}
}

// state returns how the forwarder stands.
func (w *world) state() relay.State {
	w.Helper()
	states, err := w.store.States(ctx, w.db)
	w.must(err)
	for _, s := range states {
		if s.Forwarder == name {
			return s
		}
	}
	w.Fatalf("there is no %s", name)
	return relay.State{}
}

// TestRetiredStops: nothing goes to a forwarder that has been retired, and it
// starts anew when it is registered again.
func TestRetiredStops(t *testing.T) {
	each(t, func(w *world) {
		r := w.start(relay.Config{Lease: time.Hour})
		w.commit("a")
		w.drain(r)
		w.must(w.store.Retire(ctx, w.db, name))
		w.commit("b")
		w.ticks(10)
		w.want("a")
		if s := w.state(); s.RetiredAt.IsZero() || s.Behind != 0 {
			t.Errorf("it is not retired: %+v", s)
		}
		w.must(w.store.Register(ctx, w.db, name))
		w.commit("c")
		w.drain(r)
		w.want("a c")
	})
}

// TestIdleWritesNothing: a relay that finds nothing leaves the row of its
// forwarder as it is, until the lease is to be renewed.
func TestIdleWritesNothing(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		w.commit("a")
		looks := w.db
		w.db = w.one() // the relay's alone: on a new connection it takes its lease again
		w.start(relay.Config{Lease: time.Hour})
		w.db = looks
		w.until("a is delivered", func() bool { return w.sink.all() == "a" })
		w.ticks(3)
		row := func() (version string) {
			w.must(w.db.QueryRowContext(ctx, "SELECT ctid::text || ' ' || xmin::text FROM aftercommit.cursors").Scan(&version))
			return version
		}
		used := func() (n int64) {
			w.must(w.db.QueryRowContext(ctx, "SELECT pg_current_xact_id()::text::bigint").Scan(&n))
			return n
		}
		before, xid := row(), used()
		w.ticks(30)
		if after := row(); after != before {
			t.Errorf("the row is %s, and was %s", after, before)
		}
		if now := used(); now != xid+1 {
			t.Errorf("%d transactions wrote while the relay was idle", now-xid-1)
		}
	}, dbtest.PostgresEngines()...)
}
