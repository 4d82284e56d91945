package sqltest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// shelf is a sink whose forwarder can be broken in one way at a time.
type shelf struct {
	mu      sync.Mutex
	entries []journal.Entry
	broken  bool
	hang    chan struct{}

	// forward, if set, is the forwarder instead of the right one.
	forward func(s *shelf, ctx context.Context, entries []journal.Entry) error
}

func (s *shelf) Forward(ctx context.Context, entries []journal.Entry) error {
	if s.forward != nil {
		return s.forward(s, ctx, entries)
	}
	return s.take(ctx, entries)
}

func (s *shelf) take(ctx context.Context, entries []journal.Entry) error {
	if s.hang != nil {
		select {
		case <-s.hang:
		case <-ctx.Done():
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		return forward.Partial(map[uuid.UUID]error{entries[0].ID: forward.Permanent("closed", errTest)})
	}
	for _, e := range entries {
		if !slices.ContainsFunc(s.entries, func(f journal.Entry) bool { return e.ID == f.ID }) {
			s.entries = append(s.entries, e)
		}
	}
	return nil
}

func (s *shelf) put(entries []journal.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = append(s.entries, entries...)
}

func (s *shelf) read(context.Context) ([]uuid.UUID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []uuid.UUID
	for _, e := range s.entries {
		ids = append(ids, e.ID)
	}
	return ids, nil
}

func (s *shelf) subject() Subject {
	return Subject{
		Forwarder: s, Read: s.read,
		Break: func() { s.broken = true },
		Hang:  func() { s.hang = make(chan struct{}) },
	}
}

func TestForwarderPassesAGoodOne(t *testing.T) {
	TestForwarder(t, func(*testing.T) Subject { return (&shelf{}).subject() })
}

func TestForwarderPassesTheRecorder(t *testing.T) {
	TestForwarder(t, func(*testing.T) Subject {
		rec := NewRecorder()
		return Subject{Forwarder: rec, Read: func(context.Context) ([]uuid.UUID, error) {
			var ids []uuid.UUID
			for _, e := range rec.Entries() {
				ids = append(ids, e.ID)
			}
			return ids, nil
		}}
	})
}

// brokenForwarders says which rules a forwarder breaks that does as named.
var brokenForwarders = []struct {
	name    string
	forward func(s *shelf, ctx context.Context, entries []journal.Entry) error
	rules   []string // beginnings of their names
}{
	{"reverses", func(s *shelf, ctx context.Context, entries []journal.Entry) error {
		entries = slices.Clone(entries)
		slices.Reverse(entries)
		return s.take(ctx, entries)
	}, []string{"takes every entry", "takes a batch again", "takes what is new", "does not keep"}},
	{"sorts by ID", func(s *shelf, ctx context.Context, entries []journal.Entry) error {
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			slices.SortFunc(s.entries, func(a, b journal.Entry) int { return strings.Compare(a.ID.String(), b.ID.String()) })
		}()
		return s.take(ctx, entries)
	}, []string{"takes every entry"}},
	{"takes the first only", func(s *shelf, ctx context.Context, entries []journal.Entry) error {
		return s.take(ctx, entries[:1])
	}, []string{"takes every entry", "takes a batch again", "takes what is new", "is called concurrently", "does not keep"}},
	{"doubles", func(s *shelf, ctx context.Context, entries []journal.Entry) error {
		if s.hang == nil && !s.broken && ctx.Err() == nil {
			s.put(entries)
			return nil
		}
		return s.take(ctx, entries)
	}, []string{"takes a batch again", "takes what is new", "is called concurrently"}},
	{"drops a batch whose first entry it knows", func(s *shelf, ctx context.Context, entries []journal.Entry) error {
		ids, _ := s.read(ctx)
		if slices.Contains(ids, entries[0].ID) {
			return nil
		}
		return s.take(ctx, entries)
	}, []string{"takes what is new"}},
	{"refuses large metadata", func(s *shelf, ctx context.Context, entries []journal.Entry) error {
		for _, v := range entries[0].Metadata {
			if text, _ := v.(string); len(text) > 1000 {
				return errTest
			}
		}
		return s.take(ctx, entries)
	}, []string{"takes every event"}},
	{"loses calls that meet", func() func(s *shelf, ctx context.Context, entries []journal.Entry) error {
		var calls sync.Map // by shelf
		return func(s *shelf, ctx context.Context, entries []journal.Entry) error {
			if n, _ := calls.LoadOrStore(s, new(int)); len(entries) == 5 {
				s.mu.Lock()
				*n.(*int)++
				drop := *n.(*int) > 2
				s.mu.Unlock()
				if drop {
					return nil
				}
			}
			return s.take(ctx, entries)
		}
	}(), []string{"is called concurrently"}},
	{"clears the slice", func(s *shelf, ctx context.Context, entries []journal.Entry) error {
		err := s.take(ctx, entries)
		entries[0].Reason = "forwarded"
		return err
	}, []string{"does not change"}},
	{"changes metadata", func(s *shelf, ctx context.Context, entries []journal.Entry) error {
		if list, _ := entries[0].Metadata["a"].([]any); len(list) > 0 {
			list[0] = "***"
		}
		return s.take(ctx, entries)
	}, []string{"does not change"}},
	{"keeps the slice", func(s *shelf, ctx context.Context, entries []journal.Entry) error {
		if len(entries) != 3 || ctx.Err() != nil || s.hang != nil || s.broken {
			return s.take(ctx, entries)
		}
		s.entries = entries
		return nil
	}, []string{"does not keep"}},
	{"says nil when cancelled", func(s *shelf, ctx context.Context, entries []journal.Entry) error {
		if err := s.take(ctx, entries); !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	}, []string{"returns nil only", "gives up"}},
	{"does not look at its context", func(s *shelf, _ context.Context, entries []journal.Entry) error {
		return s.take(context.Background(), entries)
	}, []string{"gives up"}},
	{"swallows failures", func(s *shelf, ctx context.Context, entries []journal.Entry) error {
		if err := s.take(ctx, entries); ctx.Err() != nil {
			return err
		}
		return nil
	}, []string{"returns an error"}},
	{"names foreign entries", func(s *shelf, ctx context.Context, entries []journal.Entry) error {
		if err := s.take(ctx, entries); !s.broken {
			return err
		}
		return forward.Partial(map[uuid.UUID]error{uuid.New(): errTest})
	}, []string{"returns an error"}},
	{"is partial about nothing", func(s *shelf, ctx context.Context, entries []journal.Entry) error {
		if err := s.take(ctx, entries); !s.broken {
			return err
		}
		return forward.Partial(maps.Clone(map[uuid.UUID]error{}))
	}, []string{"returns an error"}},
	{"gives no reason", func(s *shelf, ctx context.Context, entries []journal.Entry) error {
		if err := s.take(ctx, entries); !s.broken {
			return err
		}
		return forward.Partial(map[uuid.UUID]error{entries[0].ID: forward.Permanent("", errTest)})
	}, []string{"returns an error"}},
}

func TestForwarderNamesTheBrokenRule(t *testing.T) {
	for _, broken := range brokenForwarders {
		t.Run(broken.name, func(t *testing.T) {
			var got []string
			for _, rule := range forwarderRules {
				// In a bubble patience ends at once, and only for what hangs.
				synctest.Test(t, func(t *testing.T) {
					s := &shelf{forward: broken.forward}
					if rule.check(t.Context(), s.subject()) != nil {
						got = append(got, rule.name)
					}
					if s.hang != nil {
						close(s.hang)
					}
				})
			}
			same := slices.EqualFunc(got, broken.rules, strings.HasPrefix)
			if !same {
				t.Errorf("broken rules\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(broken.rules, "\n  "))
			}
		})
	}
}

// TestEveryRuleCanBreak keeps a rule from being one that nothing fails.
func TestEveryRuleCanBreak(t *testing.T) {
	for _, rule := range forwarderRules {
		can := false
		for _, b := range brokenForwarders {
			can = can || slices.ContainsFunc(b.rules, func(r string) bool { return strings.HasPrefix(rule.name, r) })
		}
		if !can {
			t.Errorf("nothing breaks %q", rule.name)
		}
	}
}

func TestEdgesAreValid(t *testing.T) {
	for _, e := range edges() {
		if err := hooks.Validate(e.entry.Event); err != nil {
			t.Errorf("%s: %v", e.name, err)
		}
	}
}
