package forward

import (
	"context"
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
	})
	for i, want := range []time.Duration{time.Minute + grace, time.Hour + grace} {
		if got := w.h.target(w.h.sinks[i]).Timeout; got != want {
			t.Errorf("the target of sink %d takes %v, want %v", i, got, want)
		}
	}
}
