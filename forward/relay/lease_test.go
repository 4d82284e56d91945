package relay

import (
	"context"
	"testing"
	"time"
)

// TestStuck: a worker that waits for the database for a minute has a dead connection; one
// that waits for a sink does not, however long the call takes.
func TestStuck(t *testing.T) {
	const ttl = 10 * time.Second
	l := &lease{}
	later := func(d time.Duration) bool { return l.stuck(time.Now().Add(d), ttl) }
	if later(time.Hour) {
		t.Error("stuck between two steps")
	}
	_, done := l.guard(context.Background())
	defer done()
	if later(time.Minute - time.Second) {
		t.Error("stuck within a minute")
	}
	if !later(time.Minute + time.Second) {
		t.Error("not stuck after a minute")
	}
	l.inCall(true)
	if later(time.Hour) {
		t.Error("stuck in a call of the sink")
	}
	l.inCall(false)
	if !later(time.Minute + time.Second) {
		t.Error("not stuck a minute after a call")
	}
}
