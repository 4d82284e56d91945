package sqltest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
)

// Subject is a forwarder that [TestForwarder] examines, and what the suite may
// know of its sink.
type Subject struct {
	Forwarder forward.Forwarder

	// Read returns the IDs of the events in the sink, in the order in which
	// the sink keeps them. Without it only the manners of the forwarder are
	// examined, not what arrives.
	Read func(ctx context.Context) ([]uuid.UUID, error)

	// Conn is the database that [forward.Conn] finds, and that Attach gets, for
	// forwarders that need one.
	Conn *sql.DB

	// Doubles says that the sink keeps an event twice that it gets twice.
	Doubles bool
	// Unordered says that the sink has no order.
	Unordered bool

	// Break makes the sink fail from now on, as by closing it; Hang makes it
	// accept calls and never answer. Both are optional, and each is called at
	// most once for a Subject.
	Break func()
	Hang  func()
}

// TestForwarder examines whether a forwarder keeps the rules that
// [forward.Forwarder] states. Each rule is a subtest with a Subject of its own,
// whose sink open must return empty. A failure names the rule.
func TestForwarder(t *testing.T, open func(t *testing.T) Subject) {
	t.Helper()
	for _, rule := range forwarderRules {
		t.Run(rule.name, func(t *testing.T) {
			s := open(t)
			if rule.skip != nil && rule.skip(s) {
				t.Skip("the subject does not tell enough for this rule")
			}
			if err := s.attach(t.Context()); err != nil {
				t.Fatalf("attach: %v", err)
			}
			if err := rule.check(t.Context(), s); err != nil {
				t.Errorf("the forwarder breaks a rule: it %s: %v", rule.name, err)
			}
		})
	}
}

// patience is how long a forwarder may take to notice that its context has
// ended, before the suite says that it does not: longer than a machine stands still.
const patience = time.Minute

type forwarderRule struct {
	name  string
	skip  func(Subject) bool
	check func(context.Context, Subject) error
}

var forwarderRules = []forwarderRule{
	{"takes every entry of a batch, in order", cannotRead, takesInOrder},
	{"takes a batch again without doubling", keepsDoubles, takesAgain},
	{"takes what is new in a batch that it knows in part", keepsDoubles, takesOverlap},
	{"takes every event that is valid", nil, takesEdges},
	{"is called concurrently", nil, takesConcurrently},
	{"does not change the slice", nil, leavesSlice},
	{"does not keep the slice", cannotRead, forgetsSlice},
	{"returns nil only for what it has taken", cannotRead, tellsCancelled},
	{"gives up when its context ends", func(s Subject) bool { return s.Hang == nil }, givesUp},
	{"returns an error when its sink fails, and a well-formed one", func(s Subject) bool { return s.Break == nil }, tellsFailure},
}

func cannotRead(s Subject) bool   { return s.Read == nil }
func keepsDoubles(s Subject) bool { return s.Read == nil || s.Doubles }

func (s Subject) attach(ctx context.Context) error {
	a, ok := s.Forwarder.(forward.Attacher)
	if !ok || s.Conn == nil {
		return nil
	}
	return a.Attach(ctx, s.Conn)
}

// forward hands over entries and checks the form of the error.
func (s Subject) forward(ctx context.Context, entries []journal.Entry) error {
	if s.Conn != nil {
		ctx = forward.WithConn(ctx, s.Conn)
	}
	err := s.Forwarder.Forward(ctx, entries)
	if form := wellFormed(err, entries); form != nil {
		return fmt.Errorf("returns an error of bad form: %w", form)
	}
	return err
}

// holds compares what the sink has with what it should have.
func (s Subject) holds(ctx context.Context, want []journal.Entry) error {
	if s.Read == nil {
		return nil
	}
	got, err := s.Read(ctx)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	name := map[uuid.UUID]string{}
	var wanted, found []string
	for _, e := range want {
		name[e.ID] = fmt.Sprintf("%s %s", e.Action, e.ID)
		wanted = append(wanted, name[e.ID])
	}
	for _, id := range got {
		if name[id] == "" {
			name[id] = "unknown event " + id.String()
		}
		found = append(found, name[id])
	}
	if s.Unordered {
		slices.Sort(wanted)
		slices.Sort(found)
	}
	if d := diff(wanted, found); d != "" {
		return fmt.Errorf("the sink does not hold what it should (- missing, + too much):\n%s", d)
	}
	return nil
}

func takesInOrder(ctx context.Context, s Subject) error {
	// The IDs descend while the sequence ascends, so that a sink which sorts by
	// ID shows.
	entries := batch(20)
	for i, j := 0, len(entries)-1; i < j; i, j = i+1, j-1 {
		entries[i].ID, entries[j].ID = entries[j].ID, entries[i].ID
	}
	for _, part := range [][]journal.Entry{entries[:1], entries[1:3], entries[3:]} {
		if err := s.forward(ctx, part); err != nil {
			return err
		}
	}
	return s.holds(ctx, entries)
}

func takesAgain(ctx context.Context, s Subject) error {
	entries := batch(5)
	for range 2 {
		if err := s.forward(ctx, entries); err != nil {
			return err
		}
	}
	return s.holds(ctx, entries)
}

func takesOverlap(ctx context.Context, s Subject) error {
	entries := batch(6)
	if err := s.forward(ctx, entries[:4]); err != nil {
		return err
	}
	if err := s.forward(ctx, entries[2:]); err != nil {
		return err
	}
	return s.holds(ctx, entries)
}

func takesEdges(ctx context.Context, s Subject) error {
	var taken []journal.Entry
	for _, edge := range edges() {
		one := []journal.Entry{edge.entry}
		if err := s.forward(ctx, one); err != nil {
			return fmt.Errorf("an event with %s: %w", edge.name, err)
		}
		taken = append(taken, edge.entry)
	}
	return s.holds(ctx, taken)
}

// takesConcurrently hands over each batch twice at once, as a relay does that
// trails a sync delivery. Errors that may pass are no breach: whoever delivers
// tries again.
func takesConcurrently(ctx context.Context, s Subject) error {
	const callers, size = 8, 5
	entries := batch(callers * size)
	if !s.Doubles {
		entries = entries[:callers/2*size]
	}
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for i := range callers {
		from := i * size % len(entries)
		lent := slices.Clone(entries[from : from+size])
		wg.Go(func() { errs[i] = s.deliver(ctx, lent) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	s.Unordered = true // between batches there is none
	return s.holds(ctx, entries)
}

// deliver forwards with as many attempts as the default of a registration.
func (s Subject) deliver(ctx context.Context, entries []journal.Entry) (err error) {
	for range 5 {
		var permanent *forward.PermanentError
		if err = s.forward(ctx, entries); err == nil || errors.As(err, &permanent) {
			break
		}
	}
	return err
}

func leavesSlice(ctx context.Context, s Subject) error {
	entries := batch(3)
	entries[0].Metadata = map[string]any{"a": []any{"b"}}
	before := describe(entries)
	if err := s.forward(ctx, entries); err != nil {
		return err
	}
	if d := diff(before, describe(entries)); d != "" {
		return fmt.Errorf("- before, + after:\n%s", d)
	}
	return nil
}

func forgetsSlice(ctx context.Context, s Subject) error {
	entries := batch(3)
	lent := slices.Clone(entries)
	if err := s.forward(ctx, lent); err != nil {
		return err
	}
	copy(lent, batch(3)) // what a caller may do with its own slice
	return s.holds(ctx, entries)
}

func tellsCancelled(ctx context.Context, s Subject) error {
	entries := batch(3)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.forward(ended, entries); err != nil {
		return nil //nolint:nilerr // that is one of the two right answers
	}
	return s.holds(ctx, entries)
}

func givesUp(ctx context.Context, s Subject) error {
	s.Hang()
	ended, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- s.forward(ended, batch(3)) }()
	cancel()
	select {
	case err := <-done:
		if err == nil {
			return errors.New("it returns nil, although its sink hangs")
		}
		return nil
	case <-time.After(patience):
		return fmt.Errorf("it is still running %s after its context ended", patience)
	}
}

func tellsFailure(ctx context.Context, s Subject) error {
	entries := batch(3)
	s.Break()
	err := s.Forwarder.Forward(ctx, entries)
	if err == nil {
		return errors.New("it returns nil")
	}
	return wellFormed(err, entries)
}
