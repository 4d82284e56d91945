package forward

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	// tolerated is both how many timeouts in a row suspend a sync forwarder, and
	// how many abandoned calls of any forwarder may still be running.
	tolerated  = 3
	suspension = 30 * time.Second
)

// reasonSuspended is the reason of notices about entries that a suspended
// forwarder was not given.
const reasonSuspended = "suspended"

// reasonTimeout is that of a call that did not return in time.
const reasonTimeout = "timeout"

// breaker keeps a sync forwarder that does not return from slowing every commit
// down, and from collecting goroutines. The zero value lets calls through.
//
// The relay has another one for each of its lanes, which asks whether the sink accepts
// anything, because attempts at an entry must not be counted while it does not. Here many
// commits call at once, nothing is counted, and an error that comes in time delays no commit:
// only timeouts suspend, and for the same time whatever came before.
type breaker struct {
	left atomic.Int32 // calls that were given up and still run
	said atomic.Bool  // that there are too many of them

	mu       sync.Mutex
	timeouts int // in a row
	until    time.Time
}

// allows reports whether the forwarder is not suspended. After the pause, the next
// call decides whether there is another one.
func (b *breaker) allows(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !now.Before(b.until)
}

// note records the result of a call, and reports whether it suspends the forwarder.
func (b *breaker) note(timedOut bool, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !timedOut {
		b.timeouts = 0
		return false
	}
	b.timeouts++
	if b.timeouts < tolerated || now.Before(b.until) {
		return false
	}
	b.until = now.Add(suspension)
	return true
}

// mayCall returns an error while too many abandoned calls of s are still running. The
// relay treats that as a failed call: it suspends s and tries again after each pause.
func (d *handler) mayCall(s *sink) error {
	n := s.breaker.left.Load()
	if n < tolerated {
		if s.breaker.said.Swap(false) {
			d.log().Info("aftercommit: calls of a forwarder that were left behind have returned; it is called again", zap.String("forwarder", s.name()))
		}
		return nil
	}
	if !s.breaker.said.Swap(true) {
		d.log().Warn("aftercommit: calls of a forwarder that were left behind have not returned; it is not called until one does: "+
			"let Forward return when its context ends",
			zap.String("forwarder", s.name()), zap.Int32("running", n), zap.Duration("timeout", s.timeout))
	}
	return fmt.Errorf("forward: %d calls of the forwarder have not returned, though their time is over; it is not called until one does", n)
}

// tracked is one call. The goroutine that runs it calls finish, and the one that waits
// for it calls giveUp if it stops waiting; other is set by the first of the two.
type tracked struct {
	b     *breaker
	other atomic.Bool
}

func (b *breaker) track() *tracked { return &tracked{b: b} }

func (t *tracked) finish() {
	if t.other.Swap(true) {
		t.b.left.Add(-1)
	}
}

func (t *tracked) giveUp() {
	if !t.other.Swap(true) {
		t.b.left.Add(1)
	}
}
