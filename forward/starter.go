package forward

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/relay"
)

// starter is the state of a start that is tried again. In the zero value nothing is.
type starter struct {
	mu     sync.Mutex
	why    error // what the start waits for, nil if it does not
	owed   int   // events that were committed meanwhile
	marked bool
	since  relay.Mark // from when on forwarders are owed events, once marked
	closed bool
	// cancel ends the attempts, over is closed once they have ended, and wake
	// brings the next one forward; nil while nothing is tried.
	cancel context.CancelFunc
	over   chan struct{}
	wake   chan struct{}
}

// launch begins the attempts; done is to be called when they have ended. ctx is nil if
// they have begun before, or if the database is closed.
func (s *starter) launch(cause error) (ctx context.Context, done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil || s.closed {
		return nil, nil
	}
	s.why = cause
	ctx, s.cancel = context.WithCancel(context.Background())
	over := make(chan struct{})
	s.over, s.wake = over, make(chan struct{}, 1)
	return ctx, func() { close(over) }
}

// rest waits for the next attempt, and reports false if there is to be none. A kick
// shortens the wait, but not below wokenPause.
func (s *starter) rest(ctx context.Context, pause time.Duration) bool {
	least, most := time.NewTimer(min(pause, wokenPause)), time.NewTimer(pause)
	defer least.Stop()
	defer most.Stop()
	select {
	case <-least.C:
	case <-ctx.Done():
		return false
	}
	select {
	case <-most.C:
	case <-s.wake:
	case <-ctx.Done():
		return false
	}
	return true
}

// kick brings the next attempt forward.
func (s *starter) kick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why == nil {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// owe counts events that were committed while the start waits, and kicks: the server has
// just accepted a write.
func (s *starter) owe(n int) {
	s.mu.Lock()
	if s.why != nil {
		s.owed += n
	}
	s.mu.Unlock()
	s.kick()
}

// takeOwed returns how many events are owed, and resets the count.
func (s *starter) takeOwed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.owed
	s.owed = 0
	return n
}

// waitsFor returns why the start waits, nil if it does not.
func (s *starter) waitsFor() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.why
}

// waitFor records what the start waits for now, and reports whether that is new.
func (s *starter) waitFor(why error) (isNew bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why == nil || s.closed {
		return false
	}
	isNew = s.why.Error() != why.Error()
	s.why = why
	return isNew
}

// succeed ends the attempts.
func (s *starter) succeed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.why = nil
	if s.cancel != nil {
		s.cancel()
	}
}

// mark notes the moment from which forwarders are owed what is committed: that of
// the first connection.
func (s *starter) mark(now func() (relay.Mark, error)) {
	s.mu.Lock()
	marked := s.marked
	s.mu.Unlock()
	if marked {
		return
	}
	m, err := now()
	if err != nil {
		return // the next connection, or the registration, marks a later one
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.marked {
		s.since, s.marked = m, true
	}
}

func (s *starter) from() relay.Mark {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.since
}

// await waits until what is owed can be delivered.
func (s *starter) await(ctx context.Context) error {
	s.mu.Lock()
	why, owed, over := s.why, s.owed, s.over
	s.mu.Unlock()
	if why == nil || owed == 0 {
		return nil
	}
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d events wait for a start of the delivery: %w", owed, errors.Join(s.waitsFor(), ctx.Err()))
	}
}

func (s *starter) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// close ends the attempts for good. One that does not return is left behind when
// ctx ends.
func (s *starter) close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	cancel, over := s.cancel, s.over
	s.mu.Unlock()
	if cancel == nil {
		return nil
	}
	cancel()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("forward: an attempt to start did not return, and is left behind: %w", ctx.Err())
	}
}
