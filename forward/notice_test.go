package forward

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/go-aftercommit/aftercommit/hooks"
)

func TestNoticesAreCounted(t *testing.T) {
	w := newWorld(t, nil)
	id := []uuid.UUID{uuid.Must(uuid.NewV7())}
	for i, n := range []hooks.Notice{
		{Kind: hooks.NoticeLogged, Events: id},
		{Kind: hooks.NoticeDelivered, Count: 2},
		{Kind: hooks.NoticeFailed, Count: 3, Forwarder: "f"},
		{Kind: hooks.NoticeFailed, Count: 100, Reason: "journal"},
		{Kind: hooks.NoticeDiscarded, Count: 4},
		{Kind: hooks.NoticeRolledBack, Count: 5},
		{Kind: hooks.NoticeLost, Count: 6},
		{Kind: hooks.NoticeUncaptured, Count: 7},
		{Kind: hooks.NoticeUnattributed, Count: 8},
		{Kind: hooks.NoticeMode, Reason: "off"},
	} {
		w.h.Notify(n)
		if got := w.notices[i]; got.Driver != "db-audited" || !got.Time.Equal(w.now()) {
			t.Errorf("notice %+v lacks its driver or time", got)
		}
	}
	want := Status{Logged: 1, Delivered: 2, Failed: 3, Discarded: 4, RolledBack: 5, Lost: 6, Uncaptured: 7, Unattributed: 8}
	if got := w.hub.Status(ctx); !reflect.DeepEqual(got, want) {
		t.Errorf("status %+v, want %+v", got, want)
	}
}

func TestLevels(t *testing.T) {
	tests := []struct {
		n           hooks.Notice
		first, next zapcore.Level
	}{
		{hooks.Notice{Kind: hooks.NoticeLost}, zap.ErrorLevel, zap.ErrorLevel},
		{hooks.Notice{Kind: hooks.NoticeDiscarded}, zap.ErrorLevel, zap.ErrorLevel},
		{hooks.Notice{Kind: hooks.NoticeFailed, Forwarder: "f"}, zap.WarnLevel, zap.WarnLevel},
		{hooks.Notice{Kind: hooks.NoticeFailed, Forwarder: "f", Reason: reasonSuspended}, zap.DebugLevel, zap.DebugLevel},
		{hooks.Notice{Kind: hooks.NoticeFailed, Reason: "journal"}, zap.WarnLevel, zap.WarnLevel},
		{hooks.Notice{Kind: hooks.NoticeUnknown}, zap.WarnLevel, zap.WarnLevel},
		{hooks.Notice{Kind: hooks.NoticeMode}, zap.WarnLevel, zap.WarnLevel},
		{hooks.Notice{Kind: hooks.NoticeUnmatched}, zap.WarnLevel, zap.WarnLevel},
		{hooks.Notice{Kind: hooks.NoticeSettled}, zap.InfoLevel, zap.InfoLevel},
		{hooks.Notice{Kind: hooks.NoticeUncaptured}, zap.WarnLevel, zap.DebugLevel},
		{hooks.Notice{Kind: hooks.NoticeUnattributed}, zap.WarnLevel, zap.DebugLevel},
		{hooks.Notice{Kind: hooks.NoticeLogged}, zap.DebugLevel, zap.DebugLevel},
	}
	w := newWorld(t, nil)
	for _, test := range tests {
		test.n.Duration, test.n.Err, test.n.Permanent = time.Second, errSink, true
		w.logs.TakeAll()
		w.h.Notify(test.n)
		w.h.Notify(test.n)
		lines := w.logs.TakeAll()
		if lines[0].Level != test.first || lines[1].Level != test.next {
			t.Errorf("%s %s: levels %v, %v; want %v, %v", test.n.Kind, test.n.Reason, lines[0].Level, lines[1].Level, test.first, test.next)
		}
		if lines[0].ContextMap()["error"] != errSink.Error() {
			t.Errorf("%s: fields %v", test.n.Kind, lines[0].ContextMap())
		}
	}
}

func TestObserverThatPanics(t *testing.T) {
	w := newWorld(t, func(h *Hub) { h.Register(&taker{}, Sync) })
	seen := 0
	w.hub.observer = hooks.ObserverFunc(func(hooks.Notice) {
		seen++
		panic("oh")
	})
	if got := w.end(hooks.Committed, "a.b"); got != hooks.Committed {
		t.Errorf("End = %v", got)
	}
	if s := w.hub.Status(ctx); seen != 2 || s.ObserverPanics != 2 || s.Delivered != 1 {
		t.Errorf("seen %d, status %+v", seen, s)
	}
}

// A message says what to do, where there is something.
func TestMessages(t *testing.T) {
	for _, test := range []struct {
		n    hooks.Notice
		says []string
	}{
		{hooks.Notice{Kind: hooks.NoticeUnattributed}, []string{"hooks.WithActor", "driver.DefaultActor", "reqctx.Options{Goroutine: true}", "hooks.Do"}},
		{hooks.Notice{Kind: hooks.NoticeFailed, Reason: "journal"}, []string{"journal could not be written"}},
		{hooks.Notice{Kind: hooks.NoticeFailed, Reason: "no_actor"}, []string{"no actor"}},
		{hooks.Notice{Kind: hooks.NoticeFailed, Reason: "read_only"}, []string{"read-only"}},
		{hooks.Notice{Kind: hooks.NoticeFailed, Reason: "connect"}, []string{"connection"}},
		{hooks.Notice{Kind: hooks.NoticeFailed, Reason: "panic"}, []string{"panicked"}},
		{hooks.Notice{Kind: hooks.NoticeDiscarded, Reason: reasonNoJournal}, []string{"refused", "gone"}},
		{hooks.Notice{Kind: hooks.NoticeDiscarded, Reason: reasonNoRelay}, []string{"in the journal", "Hub.Relay", "Store.Replay"}},
		{hooks.Notice{Kind: hooks.NoticeDiscarded, Reason: reasonNeverKnown}, []string{"never be known"}},
	} {
		for _, part := range test.says {
			if got := message(test.n); !strings.Contains(got, part) || strings.Contains(got, "\n") {
				t.Errorf("%s %s: %q, want %q, in one line", test.n.Kind, test.n.Reason, got, part)
			}
		}
	}
}
