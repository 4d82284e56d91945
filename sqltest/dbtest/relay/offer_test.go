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

// offering is a lease with which processes soon see each other.
const offering = 1500 * time.Millisecond

// beside starts a second process's relay, with its own sink and pool, and returns its world.
// The database and the clock are those of w.
func (w *world) beside(holder string, names ...string) (*world, *relay.Relay) {
	w.Helper()
	return w.besideFor(offering, holder, names...)
}

func (w *world) besideFor(lease time.Duration, holder string, names ...string) (*world, *relay.Relay) {
	w.Helper()
	other := *w
	other.sink = &sink{}
	other.db = dbtest.Open(w.T, w.e.Driver, w.dsn)
	other.db.SetMaxOpenConns(3)
	other.db.SetMaxIdleConns(3)
	var targets []relay.Target
	for _, n := range names {
		target := other.target()
		target.Name = n
		targets = append(targets, target)
	}
	return &other, other.start(relay.Config{Holder: holder, Lease: lease, Targets: targets})
}

// broken is beside with sinks that accept nothing, until they are suspended.
func (w *world) broken(holder string, names ...string) *world {
	w.Helper()
	other := *w
	other.sink = &sink{whole: errTransient}
	var targets []relay.Target
	for _, n := range names {
		target := other.target()
		target.Name = n
		targets = append(targets, target)
	}
	other.start(relay.Config{Holder: holder, Lease: offering, Targets: targets})
	w.until("the sinks of "+holder+" are suspended", func() bool { return len(other.sink.told(hooks.NoticeSuspended)) == len(names) })
	return &other
}

// TestWhereTheSinkWorks: a process that cannot deliver leaves the lease to one that can,
// without a wait for its own pauses.
func TestWhereTheSinkWorks(t *testing.T) {
	each(t, func(w *world) {
		w.commit("a", "b", "c")
		first := w.broken("first", name)
		second, r := w.beside("second", name)
		w.drain(r)
		second.want("a b c")
		for i := range 20 {
			w.commit(fmt.Sprint(i))
		}
		w.drain(r)
		if got := second.sink.all(); got != "a b c 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19" {
			w.Errorf("the second got [%s]", got)
		}
		if got := first.sink.all(); got != "" {
			w.Errorf("the first got [%s], want nothing", got)
		}
		if s := w.state(); s.Holder != "second" || s.Retrying+s.Discarded > 0 {
			w.Errorf("%+v, want the second to deliver, and no failures", s)
		}
	})
}

// TestWhereAllSinksWork: a process takes what another cannot deliver above its share.
func TestWhereAllSinksWork(t *testing.T) {
	each(t, func(w *world) {
		names := []string{name, "b/default", "c/default"}
		for _, n := range names[1:] {
			w.must(w.store.Register(ctx, w.db, n))
		}
		w.commit("a")
		w.broken("first", names...)
		second, r := w.beside("second", names...)
		w.drain(r)
		second.want("a a a")
		w.commit("b")
		w.drain(r)
		second.want("a a a b b b")
	})
}

// TestWhereACallReturns: also if the calls of the first process do not return.
func TestWhereACallReturns(t *testing.T) {
	each(t, func(w *world) {
		w.commit("a", "b", "c")
		hangs := w.target()
		hangs.Deliver = func(context.Context, *sql.DB, []journal.Entry) relay.Result {
			return relay.Result{Hung: true, Err: &relay.Failure{Reason: "timeout", Err: errTransient}}
		}
		w.start(relay.Config{Holder: "first", Lease: offering, Targets: []relay.Target{hangs}})
		w.until("the sink is suspended", func() bool { return len(w.sink.told(hooks.NoticeSuspended)) == 1 })
		second, r := w.beside("second", name)
		w.drain(r)
		second.want("a b c")
	})
}

// TestNoSinkWorks: where the sink is down for all processes no attempt is counted, they
// take no turns during their pauses, and it gets all in order once it is up.
func TestNoSinkWorks(t *testing.T) {
	each(t, func(w *world) {
		w.commit("a", "b", "c")
		first := w.broken("first", name)
		other := *w
		other.sink = &sink{whole: errTransient}
		other.db = dbtest.Open(w.T, w.e.Driver, w.dsn)
		r := other.start(relay.Config{Holder: "second", Lease: offering, Targets: []relay.Target{other.target()}})
		w.until("the second has tried", func() bool { return len(other.sink.told(hooks.NoticeSuspended)) == 1 })
		w.until("neither has the lease", func() bool { return w.state().Holder == "" })
		before := w.fence()
		w.ticks(50)
		if n := w.fence(); n != before {
			w.Errorf("the lease was taken %d times while both pause", n-before)
		}
		calls := func() []int {
			var n []int
			for _, s := range []*sink{first.sink, other.sink} {
				s.set(func(s *sink) { n = append(n, s.calls) })
			}
			return n
		}
		for range 12 {
			was := calls()
			w.clock.pass(time.Minute)
			w.until("each has tried again", func() bool { n := calls(); return n[0] > was[0] && n[1] > was[1] })
			w.until("neither has the lease", func() bool { return w.state().Holder == "" })
		}
		if s := w.state(); s.Retrying+s.Discarded > 0 || s.Behind != 3 {
			w.Errorf("%+v, want three behind and no failures", s)
		}
		first.sink.set(func(s *sink) { s.whole = nil })
		other.sink.set(func(s *sink) { s.whole = nil })
		w.clock.pass(time.Minute)
		w.drain(r)
		got := slices.Concat(strings.Fields(first.sink.all()), strings.Fields(other.sink.all()))
		if slices.Sort(got); len(got) != 3 || first.sink.all() != "" && other.sink.all() != "" {
			w.Errorf("[%s] and [%s] were delivered, want each once, by one process", first.sink.all(), other.sink.all())
		}
	})
}

// fence returns how often the lease was taken.
func (w *world) fence() (n int) {
	w.Helper()
	w.must(w.db.QueryRowContext(ctx, "SELECT fence FROM "+w.own("cursors")+" WHERE name = '"+name+"'").Scan(&n))
	return n
}
