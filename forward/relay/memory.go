package relay

import (
	"sync"
	"time"
)

// Memory is what relays and calls of [CatchUp] that follow each other remember. The zero
// value is ready.
type Memory struct {
	mu       sync.Mutex
	notified map[string]time.Time // of the last notice that a forwarder is behind
	evidence map[string]evidence
	doubted  map[string]*doubted // leases
}

// lagDue reports whether there may be another notice that a forwarder is behind, and
// notes it.
func (m *Memory) lagDue(forwarder string, now time.Time) bool {
	const every = 10 * time.Second
	m.mu.Lock()
	defer m.mu.Unlock()
	if last, ok := m.notified[forwarder]; ok && now.Sub(last) < every {
		return false
	}
	if m.notified == nil {
		m.notified = make(map[string]time.Time)
	}
	m.notified[forwarder] = now
	return true
}

// take removes the evidence about a forwarder's sink, so that only one call at a time
// adds to it.
func (m *Memory) take(forwarder string) evidence {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.evidence[forwarder]
	delete(m.evidence, forwarder)
	return e
}

// keep is the reverse of take.
func (m *Memory) keep(forwarder string, e evidence) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.evidence == nil {
		m.evidence = make(map[string]evidence)
	}
	m.evidence[forwarder] = e
}

// doubt returns what doubt there was about a forwarder's lease, nil for none, and keepDoubt keeps
// it.
func (m *Memory) doubt(forwarder string) *doubted {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.doubted[forwarder]
}

func (m *Memory) keepDoubt(forwarder string, d *doubted) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.doubted == nil {
		m.doubted = make(map[string]*doubted)
	}
	m.doubted[forwarder] = d
}
