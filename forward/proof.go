package forward

import (
	"sync"
	"time"
)

// proof is when a sink last accepted something in this process, from a Queue's job or
// within Commit, which distinguishes a bad event from a sink that is down.
type proof struct {
	mu      sync.Mutex
	at      time.Time
	doubted bool
}

// since reports whether the sink has accepted something after t.
func (p *proof) since(t time.Time) bool { return p.last().After(t) }

func (p *proof) last() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at
}

// prove notes that the sink is up, and reports whether that was in doubt.
func (p *proof) prove() (was bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was, p.doubted, p.at = p.doubted, false, time.Now()
	return was
}

// doubt notes that the sink accepts nothing, and reports whether that is new.
func (p *proof) doubt() (isNew bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	isNew, p.doubted = !p.doubted, true
	return isNew
}
