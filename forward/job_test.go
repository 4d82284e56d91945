package forward

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
)

// TestAttemptAtAJob: how many calls an attempt makes whose calls all fail.
func TestAttemptAtAJob(t *testing.T) {
	down := errors.New("the sink is down")
	for name, test := range map[string]struct {
		events, calls int
		do            func(ctx context.Context) error
		reason        string
	}{
		// Each with all of its events, and then with five of them alone.
		"down":               {20, 1 + 5, func(context.Context) error { return down }, "error"},
		"down, in two calls": {relay.DefaultBatch + 20, 2 * (1 + 5), func(context.Context) error { return down }, "error"},
		"down, in four":      {4 * relay.DefaultBatch, 2 * (1 + 5), func(context.Context) error { return down }, "error"},
		// A call that does not return in time is not divided, nor one that is refused for
		// good.
		"slow":    {20, 1, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, reasonTimeout},
		"refused": {20, 1, func(context.Context) error { return Permanent("never", down) }, "never"},
	} {
		f := &taker{do: func(ctx context.Context, _ []journal.Entry) error { return test.do(ctx) }}
		w := newWorld(t, func(h *Hub) { h.Register(f, Sync, Timeout(10*time.Millisecond)) })
		entries := make([]journal.Entry, test.events)
		for i := range entries {
			entries[i].ID = uuid.New()
		}
		ids, r := w.h.attemptJob(ctx, w.conn, w.h.sinks[0], entries)
		if f.times() != test.calls || len(ids) != test.events {
			t.Errorf("%s: %d calls for %d events, want %d for %d", name, f.times(), len(ids), test.calls, test.events)
		}
		for _, id := range ids {
			failure := r.Err
			if one, ok := r.Failed[id]; ok {
				failure = &one
			}
			if failure == nil || failure.Reason != test.reason {
				t.Fatalf("%s: %s has failed with %+v, want the reason %s", name, id, failure, test.reason)
			}
		}
	}
}
