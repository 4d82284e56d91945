package forward

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

func TestRegisterPanics(t *testing.T) {
	tests := map[string]struct {
		f    func(h *Hub)
		want string
	}{
		"nil": {func(h *Hub) { h.Register(nil, Sync) }, "nil Forwarder"},
		"a second of the same name": {func(h *Hub) {
			h.Register(&taker{}, Sync)
			h.Register(&taker{}, Auto)
		}, "second forward.taker/default: give one of them another name with forward.ID"},
		"a second of the same id": {func(h *Hub) {
			h.Register(&taker{}, Sync, ID("x"))
			h.Register(&taker{}, Sync, ID("x"))
		}, "second forward.taker/x"},
		"an ID with a space":       {func(h *Hub) { h.Register(&taker{}, Sync, ID("b c")) }, `forward.taker: the ID "b c": use 1 to 200 bytes of printable characters, without spaces and slashes`},
		"an ID with a slash":       {func(h *Hub) { h.Register(&taker{}, Sync, ID("a/b")) }, "without spaces and slashes"},
		"an ID with a line break":  {func(h *Hub) { h.Register(&taker{}, Sync, ID("a\nb")) }, "printable"},
		"an ID that is no text":    {func(h *Hub) { h.Register(&taker{}, Sync, ID("\xff")) }, "printable"},
		"an empty ID":              {func(h *Hub) { h.Register(&taker{}, Sync, ID("")) }, "1 to 200 bytes"},
		"a long ID":                {func(h *Hub) { h.Register(&taker{}, Sync, ID(strings.Repeat("x", 201))) }, "1 to 200 bytes"},
		"no attempts":              {func(h *Hub) { h.Register(&taker{}, Async, MaxAttempts(0)) }, "0 attempts: use 1 or more"},
		"less than no attempts":    {func(h *Hub) { h.Register(&taker{}, Async, MaxAttempts(-1)) }, "-1 attempts"},
		"a timeout of no time":     {func(h *Hub) { h.Register(&taker{}, Sync, Timeout(0)) }, "the timeout 0s: use one above 0"},
		"a timeout before no time": {func(h *Hub) { h.Register(&taker{}, Sync, Timeout(-1)) }, "the timeout -1ns"},
		"a long timeout":           {func(h *Hub) { h.Register(&taker{}, Sync, Timeout(1<<63-1)) }, "use at most 24h0m0s"},
		"no dispatch":              {func(h *Hub) { h.Register(&taker{}, Dispatch(3)) }, "use Auto, Sync or Async"},
		"after a database was opened": {func(h *Hub) {
			_, _ = h.Open(hooks.Database{Dialect: hooks.Postgres})
			h.Register(&taker{}, Sync)
		}, "after a database was opened"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.Contains(got, test.want) {
					t.Errorf("panic %q, want %q in it", got, test.want)
				}
			}()
			test.f(New(nil))
		})
	}
}

// TestIDs: what is printable is an ID, in any script.
func TestIDs(t *testing.T) {
	h := New(nil)
	for _, id := range []string{"eu-west.1_b", "eu:west", "über", "納品", strings.Repeat("x", 200)} {
		h.Register(&taker{}, Sync, ID(id))
	}
	if n := len(h.registrations); n != 5 {
		t.Errorf("%d are registered, want 5", n)
	}
}

func TestOpenRefuses(t *testing.T) {
	h := New(nil)
	h.Register(&taker{}, Auto)
	if _, err := h.Open(hooks.Database{Driver: "x", Dialect: "oracle"}); err == nil || !strings.Contains(err.Error(), `driver x: journal: no journal for dialect "oracle"`) {
		t.Errorf("err = %v", err)
	}
	h = New(&Options{NoJournal: true})
	if _, err := h.Open(hooks.Database{Driver: "x", Dialect: "oracle"}); err != nil {
		t.Errorf("without a journal: %v", err)
	}
	h = New(&Options{Journal: &journal.Options{Schema: "A"}})
	if _, err := h.Open(hooks.Database{Dialect: hooks.SQLite}); err == nil {
		t.Error("an impossible schema is taken")
	}
	for _, tt := range []struct {
		opts *Options
		db   hooks.Database
		want string
	}{
		{nil, hooks.Database{Dialect: hooks.Postgres}, "no connector; use Sync"},
		{nil, hooks.Database{Dialect: hooks.SQLite, Connector: nowhere{}}, "one that calls Hub.Relay"},
		{&Options{NoJournal: true}, hooks.Database{Dialect: hooks.Postgres, Connector: nowhere{}}, "NoJournal is set"},
		{&Options{Relay: RelayOff}, hooks.Database{Dialect: hooks.Postgres, Connector: nowhere{}}, "is RelayOff"},
	} {
		h := New(tt.opts)
		h.Register(&taker{}, Async)
		if _, err := h.Open(tt.db); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("err = %v, want one with %q", err, tt.want)
		}
	}
	for _, tt := range []struct {
		opts *Options
		db   hooks.Database
	}{
		{nil, hooks.Database{Dialect: hooks.Postgres, Connector: nowhere{}}},
		{&Options{Relay: RelayElsewhere}, hooks.Database{Dialect: hooks.SQLite, Connector: nowhere{}}},
	} {
		h := New(tt.opts)
		h.Register(&taker{}, Async)
		if _, err := h.Open(tt.db); err != nil {
			t.Errorf("with a queue: %v", err)
		}
	}
}

func TestForwardersOfOneKindAreTold(t *testing.T) {
	a, b := &taker{}, &taker{}
	w := newWorld(t, func(h *Hub) {
		h.Register(a, Sync, ID("eu"))
		h.Register(b, Auto, ID("us"), Filter(func(e journal.Entry) bool { return e.Action == "a.b" }))
	})
	w.end(hooks.Committed, "a.b", "a.c")
	a.wantGot(t, "a.b a.c")
	b.wantGot(t, "a.b")
	var names []string
	for _, n := range w.notices {
		names = append(names, string(n.Kind), n.Forwarder, n.Dispatch, fmt.Sprint(n.Count))
	}
	want := "logged   2 delivered forward.taker/eu sync 2 delivered forward.taker/us sync 1"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}
