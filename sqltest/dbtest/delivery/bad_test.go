package delivery_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// refusing is a sink that refuses what has the order 1.
type refusing struct {
	*sink
	tried atomic.Int64
}

func (r *refusing) Forward(ctx context.Context, entries []journal.Entry) error {
	if slices.ContainsFunc(entries, func(e journal.Entry) bool { return e.Target.ID == "1" }) {
		r.tried.Add(1)
		return errors.New("a bad event")
	}
	return r.sink.Forward(ctx, entries)
}

// TestSyncRefusesOne: a bad event is discarded after its attempts although the sink
// accepts all others within Commit, so that the relay has nothing else to try.
func TestSyncRefusesOne(t *testing.T) {
	each(t, func(w *world) {
		grace := time.Second
		if w.e.Dialect == hooks.SQLite {
			grace = time.Nanosecond // each commit looks
		}
		r := &refusing{sink: w.sink}
		a := w.start(forward.Options{Grace: grace}, func(h *forward.Hub) { h.Register(r, forward.Sync, forward.MaxAttempts(1)) })
		a.place(1)
		good, seen := 1, r.tried.Load()
		if w.e.Dialect != hooks.SQLite {
			seen = 1 // within Commit
		}
		w.until("it is discarded", func() bool {
			if n := r.tried.Load(); w.e.Dialect == hooks.SQLite || n > seen {
				seen, good = n, good+1
				a.place(good) // accepted between two failures
			}
			return w.sink.told(hooks.NoticeDiscarded, "sync") == 1
		})
		a.drain()
		if got := w.sink.told(hooks.NoticeFailed, "sync"); got != 2 {
			t.Errorf("it failed %d times, within Commit and one that counts, want 2", got)
		}
	}, dbtest.PQ, dbtest.PGX, dbtest.SQLite)
}
