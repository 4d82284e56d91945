package relay_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestShare: a call does no more than its share, by number or by time, says that
// something is left, and the next one goes on from there.
func TestShare(t *testing.T) {
	const batch, all = 5, 23
	shares := map[string]struct {
		share relay.Share
		calls []int // entries after each
	}{
		"all":       {relay.Share{}, []int{23}},
		"by number": {relay.Share{Steps: 2}, []int{10, 20, 23}},
		"by time":   {relay.Share{Time: 100 * time.Millisecond}, []int{15, 23}},
	}
	for what, s := range shares {
		t.Run(what, func(t *testing.T) {
			dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
				w := newWorld(t, e)
				var names []string
				for i := range all {
					names = append(names, fmt.Sprint(i))
				}
				w.commit(names...)
				w.clock.pass(time.Minute)
				target := w.target()
				target.Deliver = func(c context.Context, db *sql.DB, entries []journal.Entry) relay.Result {
					w.clock.pass(40 * time.Millisecond)
					return w.sink.deliver(c, db, entries)
				}
				for i, want := range s.calls {
					left, err := relay.CatchUp(ctx, w.store, w.one(), relay.Config{Targets: []relay.Target{target}, Batch: batch, Clock: w.clock}, s.share)
					w.must(err)
					if n := len(w.sink.got); n != want || left != (want < all) {
						t.Fatalf("%d entries after call %d, left %v; want %d", n, i+1, left, want)
					}
				}
			})
		})
	}
}

// TestShareOfSeveral: the share is for all targets together, in their order.
func TestShareOfSeveral(t *testing.T) {
	each(t, func(w *world) {
		second := w.target()
		second.Name = "b/default"
		w.must(w.store.Register(ctx, w.db, second.Name))
		w.commit("1", "2", "3")
		w.clock.pass(time.Minute)
		for i, want := range []string{"1 2", "1 2 3", "1 2 3 1 2", "1 2 3 1 2 3"} { // a step finds that nothing is left
			left, err := relay.CatchUp(ctx, w.store, w.one(), relay.Config{Targets: []relay.Target{w.target(), second}, Batch: 1, Clock: w.clock}, relay.Share{Steps: 2})
			w.must(err)
			w.want(want)
			if left != (i < 3) {
				t.Errorf("left after call %d: %v", i+1, left)
			}
		}
	})
}

// TestCatchUpIsNoProcess: a call that takes longer than processes wait between heartbeats
// is not counted as one of those that share the forwarders, not by what it leaves behind
// either.
func TestCatchUpIsNoProcess(t *testing.T) {
	each(t, func(w *world) {
		w.commit("1", "2", "3")
		w.clock.pass(time.Minute)
		cfg := relay.Config{Targets: []relay.Target{w.target()}, Batch: 1, Clock: w.clock, Lease: time.Nanosecond}
		_, err := relay.CatchUp(ctx, w.store, w.one(), cfg, relay.Share{})
		w.must(err)
		w.want("1 2 3")
		var n int
		w.must(w.db.QueryRowContext(ctx, "SELECT count(*) FROM "+w.own("workers")).Scan(&n))
		if n != 0 {
			t.Errorf("it counts as %d processes", n)
		}
	})
}
