package forward

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap/zapcore"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

var errSink = errors.New("the sink is down")

func TestOutcomes(t *testing.T) {
	tests := []struct {
		outcome hooks.Outcome
		got     string
		told    string
	}{
		{hooks.Committed, "a.b a.c", "logged*2 delivered*2"},
		{hooks.RolledBack, "", "rolled_back*2"},
		{hooks.Unknown, "", "discarded:outcome_never_known*2"},
	}
	for _, test := range tests {
		t.Run(test.outcome.String(), func(t *testing.T) {
			f := &taker{}
			w := newWorld(t, func(h *Hub) { h.Register(f, Sync) })
			if got := w.end(test.outcome, "a.b", "a.c"); got != test.outcome {
				t.Errorf("End = %v", got)
			}
			f.wantGot(t, test.got)
			w.wantTold(test.told)
		})
	}
}

// TestSyncCallIsOne: within Commit a sink gets all of a transaction's events in one call,
// since each further call could take its time again.
func TestSyncCallIsOne(t *testing.T) {
	f := &taker{}
	w := newWorld(t, func(h *Hub) { h.Register(f, Sync) })
	w.end(hooks.Committed, slices.Repeat([]string{"a.b"}, relay.DefaultBatch+1)...)
	if len(f.calls) != 1 || len(f.calls[0]) != relay.DefaultBatch+1 {
		t.Errorf("%d calls", len(f.calls))
	}
}

func TestEntriesFromMemory(t *testing.T) {
	f := &taker{}
	w := newWorld(t, func(h *Hub) { h.Register(f, Sync) })
	list := w.events("a.b", "a.c")
	list[1].Application, list[1].Host = "other", "h2"
	written, err := w.h.Flush(ctx, hooks.Flush{Events: list})
	if !written || err != nil {
		t.Fatalf("Flush = %v, %v", written, err)
	}
	end := w.ended(hooks.Committed, list)
	w.h.End(ctx, end)
	got := f.calls[0]
	if got[0].Application != "shop" || got[0].Host != "h1" || got[1].Application != "other" || got[1].Host != "h2" {
		t.Errorf("entries %+v", got)
	}
	if list[0].Application != "" {
		t.Error("the driver's own events were changed")
	}
	if e := got[1]; e.Key == uuid.Nil || e.Key != got[0].Key || e.Ordinal != 1 || e.Tx.ID != 5 || !e.RecordedAt.Equal(w.now()) {
		t.Errorf("entry %+v", e)
	}
	// What was committed before it was flushed, as by MySQL's DDL.
	end.Writes = nil
	if w.h.End(ctx, end); len(f.calls) != 2 || len(f.calls[1]) != 2 {
		t.Errorf("without a flush: calls %v", f.calls)
	}
}

// Whatever a forwarder does, End returns the outcome, and the next forwarder
// gets the entries.
func TestForwardersThatFail(t *testing.T) {
	tests := map[string]struct {
		do   func(ctx context.Context, entries []journal.Entry) error
		told string
	}{
		"error":     {func(context.Context, []journal.Entry) error { return errSink }, "failed:error*2 discarded:no_journal*2"},
		"permanent": {func(context.Context, []journal.Entry) error { return Permanent("schema_mismatch", errSink) }, "failed:schema_mismatch*2 discarded:no_journal*2"},
		"panic":     {func(context.Context, []journal.Entry) error { panic("oh") }, "failed:panic*2 discarded:no_journal*2"},
		"goexit":    {func(context.Context, []journal.Entry) error { runtime.Goexit(); return nil }, "failed:error*2 discarded:no_journal*2"},
		"partial": {func(_ context.Context, e []journal.Entry) error {
			return Partial(map[uuid.UUID]error{e[1].ID: Permanent("too_long", errSink)})
		}, "failed:too_long discarded:no_journal delivered"},
		"partial, of none": {func(context.Context, []journal.Entry) error { return Partial(nil) }, "delivered*2"},
		"waits for its context": {func(ctx context.Context, _ []journal.Entry) error {
			<-ctx.Done()
			return errSink // what a sink's client makes of it
		}, "failed:timeout*2 discarded:no_journal*2"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				next := &taker{}
				w := newWorld(t, func(h *Hub) {
					h.Register(&taker{do: test.do}, Sync, Timeout(time.Millisecond))
					h.Register(next, Sync, ID("next"))
				})
				if got := w.end(hooks.Committed, "a.b", "a.c"); got != hooks.Committed {
					t.Errorf("End = %v", got)
				}
				next.wantGot(t, "a.b a.c")
				w.wantTold("logged*2 " + test.told + " delivered*2")
				if w.hub.Pending() != 0 {
					t.Error("it is pending")
				}
			})
		})
	}
}

func TestFilterThatLeavesNothingOrPanics(t *testing.T) {
	none, panics := &taker{}, &taker{}
	w := newWorld(t, func(h *Hub) {
		h.Register(none, Sync, Filter(func(journal.Entry) bool { return false }))
		h.Register(panics, Sync, ID("panics"), Filter(func(journal.Entry) bool { panic("oh") }))
	})
	w.end(hooks.Committed, "a.b")
	none.wantGot(t, "")
	panics.wantGot(t, "")
	w.wantTold("logged failed:panic discarded:no_journal")
}

// The context of a commit often ends with it. The forwarder has a time of its
// own, the values of the context, and the connection.
func TestContextOfForward(t *testing.T) {
	type key struct{}
	var seen context.Context
	f := &taker{do: func(ctx context.Context, _ []journal.Entry) error {
		seen = ctx
		return ctx.Err()
	}}
	w := newWorld(t, func(h *Hub) { h.Register(f, Sync) })
	ended, cancel := context.WithCancel(context.WithValue(ctx, key{}, "value"))
	cancel()
	w.h.End(ended, w.ended(hooks.Committed, w.events("a.b")))
	w.wantTold("logged delivered")
	if seen.Value(key{}) != "value" || Conn(seen) != w.conn {
		t.Errorf("value %v, conn %p; want \"value\", %p", seen.Value(key{}), Conn(seen), w.conn)
	}
	if _, ok := seen.Deadline(); !ok {
		t.Error("no deadline")
	}
	if seen.Err() == nil {
		t.Error("the context outlives the call")
	}
}

// A call that does not return is left behind. It may still use the connection,
// so the forwarders after it get the entries with the next one.
func TestLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		hangs := &taker{do: func(context.Context, []journal.Entry) error { <-release; return nil }}
		next := &taker{}
		w := newWorld(t, func(h *Hub) {
			h.Register(hangs, Sync, Timeout(time.Millisecond), Filter(func(e journal.Entry) bool { return e.Action == "a.hangs" }))
			h.Register(next, Sync, ID("next"))
		})
		if got := w.end(hooks.Committed, "a.hangs"); got != hooks.Committed {
			t.Errorf("End = %v", got)
		}
		w.wantTold("logged failed:timeout discarded:no_journal")
		next.wantGot(t, "")
		if w.hub.Pending() != 1 {
			t.Fatalf("Pending = %d, want 1", w.hub.Pending())
		}
		w.end(hooks.RolledBack, "a.b")
		w.wantTold("rolled_back delivered")
		next.wantGot(t, "a.hangs")
		hangs.wantGot(t, "a.hangs")
		if w.hub.Pending() != 0 {
			t.Error("it is still pending")
		}
		close(release)
	})
}

// A sink that is down must not slow down every commit.
func TestSuspension(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ok := false
		f := &taker{do: func(ctx context.Context, _ []journal.Entry) error {
			if ok {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}}
		w := newWorld(t, func(h *Hub) { h.Register(f, Sync, Timeout(time.Millisecond)) })
		for range 3 {
			w.end(hooks.Committed, "a.b")
			w.wantTold("logged failed:timeout discarded:no_journal")
		}
		if !w.logged(zapcore.WarnLevel, "suspended") {
			t.Error("the suspension is not logged")
		}
		w.pass(suspension - 1)
		w.end(hooks.Committed, "a.not")
		w.wantTold("logged failed:suspended discarded:no_journal")

		w.pass(1)
		w.end(hooks.Committed, "a.again")
		w.wantTold("logged failed:timeout discarded:no_journal")
		w.end(hooks.Committed, "a.not")
		w.wantTold("logged failed:suspended discarded:no_journal")

		ok = true
		w.pass(suspension)
		w.end(hooks.Committed, "a.up")
		w.wantTold("logged delivered")
		ok = false
		w.end(hooks.Committed, "a.down")
		ok = true
		w.end(hooks.Committed, "a.up")
		w.wantTold("logged failed:timeout discarded:no_journal logged delivered")
		f.wantGot(t, "a.b|a.b|a.b|a.again|a.up|a.down|a.up")
	})
}

// Errors that come at once cost the app nothing, so they suspend nobody; and
// they end a row of timeouts.
func TestOnlyTimeoutsSuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := false
		f := &taker{do: func(ctx context.Context, _ []journal.Entry) error {
			if slow {
				<-ctx.Done()
			}
			return errSink
		}}
		w := newWorld(t, func(h *Hub) { h.Register(f, Sync, Timeout(time.Millisecond)) })
		for i := range 12 {
			slow = i%3 != 2
			w.end(hooks.Committed, "a.b")
		}
		if n := f.times(); n != 12 {
			t.Errorf("%d calls, want 12", n)
		}
	})
}

// As long as three calls of a forwarder hang, there is no fourth.
func TestLeftBehindAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := &taker{do: func(context.Context, []journal.Entry) error { <-release; return nil }}
		w := newWorld(t, func(h *Hub) { h.Register(f, Sync, Timeout(time.Millisecond)) })
		for range 6 {
			w.end(hooks.Committed, "a.b")
			w.pass(time.Hour)
		}
		if n := f.times(); n != tolerated {
			t.Errorf("%d calls hang, want %d", n, tolerated)
		}
		w.wantTold("logged failed:timeout discarded:no_journal logged failed:timeout discarded:no_journal logged failed:timeout discarded:no_journal " +
			"logged failed:suspended discarded:no_journal logged failed:suspended discarded:no_journal logged failed:suspended discarded:no_journal")
		close(release)
	})
}
