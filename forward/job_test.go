package forward

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
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
		// Two with as many events as they can have, and then five with one.
		"down":               {20, 1 + 5, func(context.Context) error { return down }, "error"},
		"down, in two calls": {relay.DefaultBatch + 20, 2 + 5, func(context.Context) error { return down }, "error"},
		"down, in four":      {4 * relay.DefaultBatch, 2 + 5, func(context.Context) error { return down }, "error"},
		"slow":               {20, 1 + 5, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, reasonTimeout},
		// What is refused for good is not divided.
		"refused": {20, 1, func(context.Context) error { return Permanent("never", down) }, "never"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &taker{do: func(ctx context.Context, _ []journal.Entry) error { return test.do(ctx) }}
				w := newWorld(t, func(h *Hub) { h.Register(f, Sync, Timeout(time.Minute)) })
				entries := make([]journal.Entry, test.events)
				for i := range entries {
					entries[i].ID = uuid.New()
				}
				found := w.h.attemptJob(ctx, relay.NewLender(w.conn, 1), w.h.sinks[0], memo{}, false, entries)
				if n := len(found.Untried) + len(found.Failed); f.times() != test.calls || n != test.events {
					t.Errorf("%d calls for %d events, want %d for %d", f.times(), n, test.calls, test.events)
				}
				if len(found.Untried) > 0 && found.Why.Reason != test.reason {
					t.Errorf("why is %+v, want the reason %s", found.Why, test.reason)
				}
				for _, failure := range found.Failed {
					if failure.Reason != test.reason || !failure.Permanent {
						t.Fatalf("one has failed with %+v, want the reason %s", failure, test.reason)
					}
				}
			})
		})
	}
}
