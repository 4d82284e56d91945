package forward

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
)

type idle struct{}

func (idle) Forward(context.Context, []journal.Entry) error { return nil }

// TestTargetTimeout: the relay knows how long a call takes at most, by which it
// limits leases and transactions.
func TestTargetTimeout(t *testing.T) {
	w := newWorld(t, func(h *Hub) {
		h.Register(idle{}, Sync)
		h.Register(idle{}, Sync, ID("slow"), Timeout(time.Hour))
		h.Register(idle{}, Sync, ID("slowest"), Timeout(longest))
	})
	for i, want := range []time.Duration{time.Minute + returnTime, time.Hour + returnTime, longest + returnTime} {
		if got := w.h.target(w.h.sinks[i]).Timeout; got != want {
			t.Errorf("the target of sink %d takes %v, want %v", i, got, want)
		}
	}
	if longest+returnTime > 25*time.Hour {
		t.Error("the relay refuses such a target")
	}
}

// TestTargetTimedOut: the relay knows that a call has failed only when its time was up,
// but not if it was the caller who had it stopped.
func TestTargetTimedOut(t *testing.T) {
	waits := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	fails := func(context.Context) error { return errors.New("it is bad") }
	takes := func(ctx context.Context) error { <-ctx.Done(); return nil }
	stopped, stop := context.WithCancel(ctx)
	stop()
	for name, test := range map[string]struct {
		ctx  context.Context //nolint:containedctx // of a case
		do   func(context.Context) error
		want bool
	}{
		"waits": {ctx, waits, true}, "fails": {ctx, fails, false}, "takes": {ctx, takes, false}, "stopped": {stopped, waits, false},
	} {
		f := &taker{do: func(ctx context.Context, _ []journal.Entry) error { return test.do(ctx) }}
		w := newWorld(t, func(h *Hub) { h.Register(f, Sync, Timeout(10*time.Millisecond)) })
		r := w.h.target(w.h.sinks[0]).Deliver(test.ctx, w.conn, []journal.Entry{{}})
		if r.TimedOut != test.want || r.Hung {
			t.Errorf("%s: %+v, want TimedOut %v", name, r, test.want)
		}
	}
}
