package forward

import (
	"errors"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// On SQLite there is no second connection: what committed on one that cannot be
// used waits for the next.
func TestWithoutConn(t *testing.T) {
	f := &taker{}
	w := newWorld(t, func(h *Hub) { h.Register(f, Sync) })
	conn := w.conn
	w.conn = nil
	w.end(hooks.Committed, "a.b")
	w.end(hooks.Committed, "a.c")
	f.wantGot(t, "")
	if n := w.hub.Pending(); n != 2 {
		t.Fatalf("Pending = %d, want 2", n)
	}
	w.conn = conn
	w.end(hooks.Committed, "a.d")
	f.wantGot(t, "a.d|a.b|a.c")
	if s := w.hub.Status(ctx); s.Pending != 0 || s.Delivered != 3 || s.Logged != 3 {
		t.Errorf("status %+v", s)
	}
}

func TestPendingHasALimit(t *testing.T) {
	f := &taker{}
	w := newWorld(t, func(h *Hub) { h.Register(f, Sync) })
	w.conn = nil
	for range maxPending {
		w.end(hooks.Committed, "a.b")
	}
	w.told()
	w.end(hooks.Committed, "a.much")
	w.wantTold("logged discarded:pending_overflow")
	if s := w.hub.Status(ctx); s.Discarded != 1 || s.Pending != maxPending {
		t.Errorf("status %+v", s)
	}
	if !w.logged(zapcore.ErrorLevel, "will not be forwarded") {
		t.Error("it is not logged")
	}
}

// One commit of the app does not pay for all that waits.
func TestOneEndSettlesAFew(t *testing.T) {
	f := &taker{}
	w := newWorld(t, func(h *Hub) { h.Register(f, Sync) })
	conn := w.conn
	w.conn = nil
	for range settledPerEnd + 2 {
		w.end(hooks.Committed, "a.b")
	}
	w.conn = conn
	w.end(hooks.RolledBack, "a.c")
	if n := w.hub.Pending(); n != 2 {
		t.Errorf("Pending = %d, want 2", n)
	}
}

func TestSettleWithoutConnector(t *testing.T) {
	for _, dialect := range []hooks.Dialect{hooks.Postgres, hooks.SQLite} {
		w := newWorld(t, func(h *Hub) { h.Register(&taker{}, Sync) })
		w.h, w.conn = w.open(dialect), nil
		if err := w.hub.Settle(ctx); err != nil {
			t.Errorf("with nothing to settle: %v", err)
		}
		w.end(hooks.Committed, "a.b")
		if err := w.hub.Settle(ctx); !errors.Is(err, errNoBase) || w.hub.Pending() != 1 {
			t.Errorf("err = %v, Pending = %d", err, w.hub.Pending())
		}
	}
}

func TestBackoff(t *testing.T) {
	b, now := &batch{}, time.Unix(0, 0)
	var waits []time.Duration
	for range 8 {
		b.later(now)
		waits = append(waits, b.due.Sub(now))
	}
	want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60}
	for i := range want {
		if waits[i] != want[i]*time.Second {
			t.Fatalf("waits %v", waits)
		}
	}
	p := &pending{}
	p.add(b)
	if got := p.take(5, now); len(got) != 0 || p.len() != 1 {
		t.Errorf("took %d before it was due", len(got))
	}
	if got := p.take(5, b.due); len(got) != 1 || p.len() != 0 {
		t.Errorf("took %d when it was due", len(got))
	}
}
