package delivery_test

import (
	"context"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// occupied is a sink that keeps its call until it may leave.
type occupied struct {
	entered chan struct{}
	leave   chan struct{}
}

func (o occupied) Forward(ctx context.Context, _ []journal.Entry) error {
	o.entered <- struct{}{}
	select {
	case <-o.leave:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestBusySinksLeaveAConnection: however many sinks keep the relay waiting, one
// connection is left, over which leases are renewed and the Hub says how it stands.
func TestBusySinksLeaveAConnection(t *testing.T) {
	each(t, func(w *world) {
		o := occupied{make(chan struct{}, 3), make(chan struct{})}
		a := w.start(forward.Options{Timeout: 10 * dbtest.Patience}, func(h *forward.Hub) {
			for _, id := range []string{"a", "b", "c"} {
				h.Register(o, forward.Async, forward.ID(id))
			}
		})
		a.place(1)
		for range 2 {
			select {
			case <-o.entered:
			case <-time.After(dbtest.Patience):
				t.Fatal("two sinks do not get their calls at the same time")
			}
		}
		c, cancel := context.WithTimeout(ctx, dbtest.Patience)
		defer cancel()
		st := a.hub.Status(c)
		if len(st.Databases) != 1 || st.Databases[0].Err != nil || len(st.Databases[0].Forwarders) != 3 {
			t.Errorf("status %+v", st)
		}
		close(o.leave)
		a.drain()
	})
}
