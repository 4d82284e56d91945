package sqltest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
)

var _ forward.Forwarder = (*Recorder)(nil)

// Recorder is a forwarder that keeps what it gets, for the tests of an app:
// register it as any other, let the app work, and look at what was forwarded,
// which is what committed.
//
// As a good sink does, it keeps an event that is delivered twice once. It is
// safe for concurrent use. The zero value is empty, as is what [NewRecorder] returns.
type Recorder struct {
	mu      sync.Mutex
	entries []journal.Entry
	seen    map[uuid.UUID]bool
	changed chan struct{} // closed when entries grow; nil unless it is waited for
}

// NewRecorder returns an empty Recorder.
func NewRecorder() *Recorder { return &Recorder{} }

// Forward keeps the entries.
func (r *Recorder) Forward(ctx context.Context, entries []journal.Entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen = make(map[uuid.UUID]bool)
	}
	for _, e := range entries {
		if !r.seen[e.ID] {
			r.seen[e.ID] = true
			r.entries = append(r.entries, e)
		}
	}
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
	return nil
}

// Entries returns what has arrived, in the order of its arrival.
func (r *Recorder) Entries() []journal.Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.entries)
}

// Actions returns the actions of Entries.
func (r *Recorder) Actions() []string {
	entries := r.Entries()
	actions := make([]string, len(entries))
	for i, e := range entries {
		actions[i] = e.Action
	}
	return actions
}

// Reset forgets everything.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries, r.seen = nil, nil
}

// Wait returns nil as soon as n entries have arrived in all, which an
// asynchronous forwarder may still be on its way with. If ctx ends first, the
// error wraps its cause and says what has arrived.
func (r *Recorder) Wait(ctx context.Context, n int) error {
	for {
		r.mu.Lock()
		if r.changed == nil {
			r.changed = make(chan struct{})
		}
		have, changed := len(r.entries), r.changed
		r.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("sqltest: %d of %d events arrived [%s]: %w",
				have, n, strings.Join(r.Actions(), " "), context.Cause(ctx))
		}
	}
}

// Only reports an error unless the events with these actions have arrived, in
// this order, and no others. It does not wait; see [Recorder.Wait].
func (r *Recorder) Only(tb testing.TB, actions ...string) {
	tb.Helper()
	if d := diff(actions, r.Actions()); d != "" {
		tb.Errorf("audit events are not those wanted (- missing, + too many):\n%s%s", d, r.details())
	}
}

// None reports an error if anything has arrived.
func (r *Recorder) None(tb testing.TB) {
	tb.Helper()
	r.Only(tb)
}

// details lists what has arrived with what tells one event from another.
func (r *Recorder) details() string {
	entries := r.Entries()
	if len(entries) == 0 {
		return "nothing has arrived"
	}
	var b strings.Builder
	b.WriteString("arrived:\n")
	for i, e := range entries {
		fmt.Fprintf(&b, "    %d %s", i+1, e.Action)
		if !e.Target.IsZero() {
			fmt.Fprintf(&b, " on %s %s", e.Target.Type, e.Target.ID)
		}
		if !e.Actor.IsZero() {
			fmt.Fprintf(&b, " by %s %s", e.Actor.Type, e.Actor.ID)
		}
		switch {
		case e.Captured && e.Metadata["conditional"] == true:
			b.WriteString(" (captured, conditional: it may have changed nothing)")
		case e.Captured:
			b.WriteString(" (captured)")
		}
		b.WriteByte('\n')
	}
	return b.String()
}
