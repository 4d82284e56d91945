package forward

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// tolerated is how many timeouts in a row suspend a sync forwarder, and how
	// many of its calls may be left behind and still run.
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
type breaker struct {
	left atomic.Int32 // calls that were given up and still run

	mu       sync.Mutex
	timeouts int // in a row
	until    time.Time
}

// allows reports whether the forwarder may be called. After the pause, the next
// call decides whether there is another one.
func (b *breaker) allows(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !now.Before(b.until) && (b.timeouts < tolerated || b.left.Load() < tolerated)
}

// note takes the result of a call, and reports whether it suspends the forwarder.
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

// tracked is one call, of which its own goroutine and the one that waits for it
// each tell once: the first finishes it, the other may give it up before.
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
