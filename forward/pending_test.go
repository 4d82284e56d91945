package forward

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/go-aftercommit/aftercommit/forward/journal"
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

// TestPendingHasALimitOfBytes: few transactions may hold much. One alone may be larger.
func TestPendingHasALimitOfBytes(t *testing.T) {
	w := newWorld(t, func(h *Hub) { h.Register(&taker{}, Sync) })
	conn := w.conn
	w.conn = nil
	large := w.events(slices.Repeat([]string{"a.b"}, 100)...)
	for i := range large {
		large[i].Comment = strings.Repeat("x", maxPendingBytes/100)
	}
	w.h.End(ctx, w.ended(hooks.Committed, large))
	if n := w.hub.Pending(); n != 1 {
		t.Fatalf("Pending = %d, want 1", n)
	}
	w.told()
	w.end(hooks.Committed, "a.much")
	w.wantTold("logged discarded:pending_overflow")
	w.conn = conn
	w.end(hooks.RolledBack, "a.c") // which settles what waits, and so makes room
	w.conn = nil
	w.told()
	w.end(hooks.Committed, "a.b")
	w.wantTold("logged")
	if n := w.hub.Pending(); n != 1 {
		t.Errorf("Pending = %d, want 1", n)
	}
}

// TestPendingCountsWhatItKeeps: the limit of bytes holds for events of any kind, and for those
// of a database without a journal.
func TestPendingCountsWhatItKeeps(t *testing.T) {
	text := func() string { return strings.Repeat("x", hooks.MaxText) }
	for name, make1 := range map[string]func() hooks.Event{
		"many members": func() hooks.Event {
			m := make(map[string]any)
			for i := range 700 {
				m[fmt.Sprintf("k%03d", i)] = i
			}
			return hooks.Event{Action: "a.b", Metadata: m}
		},
		"all texts": func() hooks.Event {
			return hooks.Event{
				Action: "a.b", TenantID: text(), RequestID: text(), CorrelationID: text(), CausationID: text(), JobID: text(), TraceParent: text(),
				Application: text(), Host: text(), Target: hooks.Target{Type: text(), ID: "1"}, Actor: hooks.Actor{Type: hooks.User, ID: "1", OnBehalfOf: text()},
			}
		},
		"nothing": func() hooks.Event { return hooks.Event{Action: "a.b"} },
	} {
		for _, journaled := range []bool{true, false} {
			const many = 10
			p := &pending{}
			before := heap()
			for range many {
				events := make([]hooks.Event, 20)
				for i := range events {
					var err error
					if events[i], err = hooks.Prepare(make1()); err != nil {
						t.Fatal(err)
					}
				}
				b := &batch{ids: idsOf(events)}
				if journaled {
					b.writes = []hooks.Write{{Key: hooks.NewID(), Events: events}}
				} else {
					b.entries = (&journal.Row{}).EntriesOf(events, 0)
				}
				if !p.add(b) {
					t.Fatal("there is no room")
				}
			}
			if kept := heap() - before; p.bytes < kept*2/3 || p.bytes > 4*kept {
				t.Errorf("%s, with a journal: %v: %d transactions take %d bytes, and count as %d", name, journaled, many, kept, p.bytes)
			}
			if p.take(many, time.Now()); p.bytes != 0 {
				t.Errorf("%s: %d bytes are counted of no transaction", name, p.bytes)
			}
		}
	}
}

// heap is how many bytes are in use.
func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what a sync.Pool, or the first round's finalizers, have kept
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
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

// TestShareOfACommit: it begins nothing for others when its time is over, nor after a
// call that has not returned, and none of its own sinks is left out for that.
func TestShareOfACommit(t *testing.T) {
	var (
		w     *world
		takes atomic.Int64
		hangs atomic.Bool
		calls atomic.Int32
	)
	release := make(chan bool)
	sink := func() {
		calls.Add(1)
		if hangs.Load() {
			<-release
			return
		}
		w.pass(time.Duration(takes.Load()))
	}
	w = newWorld(t, func(h *Hub) {
		h.Register(forwarderFunc(sink), Sync, Timeout(time.Millisecond))
		h.Register(&second{forwarderFunc: sink}, Sync, Timeout(time.Millisecond))
	})
	conn := w.conn
	for name, test := range map[string]struct {
		takes   time.Duration
		hangs   bool
		pending int   // of three
		calls   int32 // two of which are for its own event
	}{
		"quick":     {0, false, 0, 8},
		"slow":      {shareTime * 6 / 10, false, 2, 4},
		"very slow": {shareTime, false, 3, 3},
		"hanging":   {0, true, 3, 1},
	} {
		w.conn = nil
		for range 3 {
			w.end(hooks.Committed, "a.b")
		}
		w.conn = conn
		calls.Store(0)
		takes.Store(int64(test.takes))
		hangs.Store(test.hangs)
		w.end(hooks.Committed, "a.c")
		pending := w.hub.Pending()
		if test.hangs {
			pending-- // its own
		}
		if pending != test.pending || calls.Load() != test.calls {
			t.Errorf("%s: %d transactions wait after %d calls, want %d after %d", name, pending, calls.Load(), test.pending, test.calls)
		}
		takes.Store(0)
		hangs.Store(false)
		if test.hangs {
			release <- true
		}
		for w.hub.Pending() > 0 {
			w.pass(lastWait)
			w.end(hooks.RolledBack, "a.d")
		}
	}
}

// TestNothingFollowsACallThatHangs, also if it was that of the last sink: it may still use
// the connection.
func TestNothingFollowsACallThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		release := make(chan bool)
		w := newWorld(t, func(h *Hub) {
			h.Register(forwarderFunc(func() { calls.Add(1); <-release }), Sync, Timeout(time.Millisecond))
		})
		conn := w.conn
		w.conn = nil
		for range 3 {
			w.end(hooks.Committed, "a.b")
		}
		w.conn = conn
		for i, outcome := range []hooks.Outcome{hooks.Committed, hooks.RolledBack} { // a call for its own events, then one for another transaction's
			w.end(outcome, "a.c")
			if n := int(calls.Load()); n != i+1 || w.hub.Pending() != 3-i {
				t.Errorf("%s: %d calls, %d transactions wait", outcome, n, w.hub.Pending())
			}
		}
		close(release)
	})
}

// TestCatchingUp: one commit at a time does it, now and then, or if the last one has left
// something.
func TestCatchingUp(t *testing.T) {
	w := newWorld(t, nil)
	look := func() bool {
		_, look := w.h.claim(w.now())
		return look
	}
	for i, step := range []struct {
		before func()
		look   bool
	}{
		{func() {}, true},
		{func() { w.pass(w.hub.grace) }, false}, // the first has not ended
		{func() { w.h.release(true, false) }, true},
		{func() { w.h.release(true, true) }, true},
		{func() { w.h.release(true, false) }, false},
		{func() { w.pass(w.hub.grace / 2) }, true},
	} {
		if step.before(); look() != step.look {
			t.Errorf("step %d: look %t", i, !step.look)
		}
	}
}

// second is another forwarder.
type second struct{ forwarderFunc }

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
