package relay_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestSequenceReset: what is committed after something has emptied sqlite_sequence is delivered,
// however much had been, and whatever of it is still there.
func TestSequenceReset(t *testing.T) {
	for _, purged := range []bool{false, true} {
		for after := 1; after <= 7; after += 2 {
			t.Run(fmt.Sprintf("purged=%v, %d after", purged, after), func(t *testing.T) {
				w := newWorld(t, dbtest.SQLite)
				other := w.target()
				other.Name = "slow/default"
				w.must(w.store.Register(ctx, w.db, other.Name)) // and gets nothing yet
				want := []string{"a", "b", "c", "d", "e"}
				for _, n := range want {
					w.commit(n)
				}
				r := w.start(relay.Config{Lease: brisk})
				w.drain(r)
				if purged {
					w.must(w.store.Retire(ctx, w.db, other.Name))
					w.purge(1)
				}
				w.exec("DELETE FROM sqlite_sequence")
				w.ticks(2)
				for i := range after {
					n := fmt.Sprint(i)
					w.commit(n)
					want = append(want, n)
				}
				w.drain(r)
				w.want(strings.Join(want, " "))
				if told := w.sink.told(hooks.NoticeSuspended); len(told) > 0 {
					t.Errorf("told that it is suspended: %v", told)
				}
				if s := w.state(); s.Elsewhere || s.Behind != 0 {
					t.Errorf("%+v", s)
				}
				w.must(r.Stop(ctx))
				w.commit("waits") // behind the cursor when the sequence begins anew
				w.exec("UPDATE sqlite_sequence SET seq = 0")
				w.commit("again")
				want = append(want, "waits", "again")
				w.drain(w.start(relay.Config{}))
				w.want(strings.Join(want, " "))
				if !purged { // the order is that of the commits still
					w.sink.set(func(s *sink) { s.got = nil })
					w.drain(w.start(relay.Config{Targets: []relay.Target{other}}))
					w.want(strings.Join(want, " "))
				}
			})
		}
	}
}
