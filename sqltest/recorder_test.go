package sqltest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// spyT is a testing.TB that keeps what is reported to it.
type spyT struct {
	testing.TB
	reports []string
}

func (s *spyT) Helper() {}

func (s *spyT) Errorf(format string, args ...any) {
	s.reports = append(s.reports, fmt.Sprintf(format, args...))
}

func recorded(t *testing.T, actions ...string) (*Recorder, []journal.Entry) {
	t.Helper()
	r := NewRecorder()
	var entries []journal.Entry
	for i, a := range actions {
		e := journal.Entry{Position: journal.Position{Ordinal: i}}
		e.ID, e.Action = uuid.New(), a
		e.Target = hooks.Target{Type: "order", ID: "42"}
		entries = append(entries, e)
	}
	if err := r.Forward(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	return r, entries
}

func TestRecorderKeepsEventsOnce(t *testing.T) {
	r, entries := recorded(t, "a.b", "a.c")
	if err := r.Forward(t.Context(), entries[1:]); err != nil {
		t.Fatal(err)
	}
	if got := r.Actions(); !slices.Equal(got, []string{"a.b", "a.c"}) {
		t.Errorf("actions %q", got)
	}
	entries[0].Action = "changed"
	if r.Entries()[0].Action != "a.b" {
		t.Error("the slice was kept")
	}
	r.Only(t, "a.b", "a.c")
	r.Reset()
	r.None(t)
	if err := r.Forward(t.Context(), entries[1:]); err != nil {
		t.Fatal(err)
	}
	r.Only(t, "a.c")
}

// A Recorder that no one made works, too.
func TestZeroRecorder(t *testing.T) {
	var r Recorder
	r.None(t)
	done := make(chan error)
	go func() { done <- r.Wait(t.Context(), 1) }()
	e := journal.Entry{}
	e.ID, e.Action = uuid.New(), "a.b"
	for range 2 {
		if err := r.Forward(t.Context(), []journal.Entry{e}); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	r.Only(t, "a.b")
}

// A report says of a captured event that nothing may have changed.
func TestOnlyShowsWhatIsConditional(t *testing.T) {
	r, spy := NewRecorder(), &spyT{}
	e := journal.Entry{}
	e.ID, e.Action, e.Captured, e.Metadata = uuid.New(), "orders.deleted", true, map[string]any{"conditional": true}
	if err := r.Forward(t.Context(), []journal.Entry{e}); err != nil {
		t.Fatal(err)
	}
	r.None(spy)
	if len(spy.reports) != 1 || !strings.Contains(spy.reports[0], "(captured, conditional") {
		t.Errorf("reports %q", spy.reports)
	}
}

func TestRecorderRefusesAnEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := NewRecorder()
	if err := r.Forward(ctx, make([]journal.Entry, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	r.None(t)
}

func TestOnlyShowsTheDifference(t *testing.T) {
	r, _ := recorded(t, "orders.inserted", "order.cancelled", "mail.sent")
	spy := &spyT{}
	r.Only(spy, "orders.inserted", "order.placed", "mail.sent")
	r.None(spy)
	want := `audit events are not those wanted (- missing, + too many):
    orders.inserted
  - order.placed
  + order.cancelled
    mail.sent
arrived:
    1 orders.inserted on order 42
`
	if len(spy.reports) != 2 || !strings.HasPrefix(spy.reports[0], want) {
		t.Errorf("reports:\n%s", strings.Join(spy.reports, "\n"))
	}

	spy = &spyT{}
	NewRecorder().Only(spy, "a.b")
	if len(spy.reports) != 1 || !strings.Contains(spy.reports[0], "- a.b\nnothing has arrived") {
		t.Errorf("reports %q", spy.reports)
	}
}

func TestOnlyMindsOrderAndNumber(t *testing.T) {
	r, _ := recorded(t, "a.b", "a.c")
	for _, wrong := range [][]string{{"a.c", "a.b"}, {"a.b"}, {"a.b", "a.c", "a.c"}, {"a.b", "a.b"}} {
		spy := &spyT{}
		r.Only(spy, wrong...)
		if len(spy.reports) != 1 {
			t.Errorf("%q passes", wrong)
		}
	}
}

func TestWait(t *testing.T) {
	r := NewRecorder()
	done := make(chan error)
	go func() { done <- r.Wait(t.Context(), 2) }()
	for range 2 {
		e := journal.Entry{}
		e.ID = uuid.New()
		if err := r.Forward(t.Context(), []journal.Entry{e}); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Wait(ctx, 2); err != nil {
		t.Errorf("what has arrived needs no waiting: %v", err)
	}
	err := r.Wait(ctx, 3)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "2 of 3 events") {
		t.Errorf("error %v", err)
	}
}
