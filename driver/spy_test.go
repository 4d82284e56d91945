package driver_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// spy is a Hook and a Handler that keeps what it was told. Flush writes one
// "INSERT journal" for each event, over the connection that it is lent.
type spy struct {
	mu      sync.Mutex // guards what follows
	ended   []hooks.Ended
	notices []hooks.Notice

	// What it does instead, where a test sets it.
	flush   func(ctx context.Context, f hooks.Flush) (bool, error)
	end     func(ctx context.Context, e hooks.Ended) hooks.Outcome
	connect func(ctx context.Context, db *sql.DB) error
}

var (
	_ hooks.Hook    = (*spy)(nil)
	_ hooks.Handler = (*spy)(nil)
)

func (s *spy) Open(hooks.Database) (hooks.Handler, error) { return s, nil }

func (s *spy) Connect(ctx context.Context, db *sql.DB) error {
	if s.connect != nil {
		return s.connect(ctx, db)
	}
	return nil
}

func (s *spy) Flush(ctx context.Context, f hooks.Flush) (bool, error) {
	if s.flush != nil {
		return s.flush(ctx, f)
	}
	for _, e := range f.Events {
		if _, err := f.Conn.ExecContext(ctx, "INSERT journal "+e.Action); err != nil {
			return false, fmt.Errorf("spy: %w", err)
		}
	}
	return true, nil
}

func (s *spy) End(ctx context.Context, e hooks.Ended) hooks.Outcome {
	s.mu.Lock()
	s.ended = append(s.ended, e)
	s.mu.Unlock()
	if s.end != nil {
		return s.end(ctx, e)
	}
	return e.Outcome
}

func (s *spy) Notify(n hooks.Notice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notices = append(s.notices, n)
}

// told returns how the transactions ended, as "committed a.b c.d".
func (s *spy) told() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, e := range s.ended {
		line := e.Outcome.String()
		for _, ev := range e.Events {
			line += " " + ev.Action
		}
		out = append(out, line)
	}
	return out
}

// kinds returns the kinds of the notices, with their reasons.
func (s *spy) kinds() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, n := range s.notices {
		line := string(n.Kind)
		if n.Reason != "" {
			line += " " + n.Reason
		}
		out = append(out, line)
	}
	return out
}
