package relay

import (
	"maps"
	"time"
)

// Suspension is that a sink accepts nothing from a process.
type Suspension struct {
	// Program and Process are those of [Config]. In the process itself, and so in what it
	// registers, they are empty.
	Program string `json:"program,omitempty"`
	Process string `json:"process,omitempty"`
	// Since is when it began, by the clock of the process.
	Since time.Time `json:"since"`
	// Reason and Error are of the last call before it.
	Reason string `json:"reason"`
	Error  string `json:"error"`
}

// suspend notes that a forwarder is suspended here. Other processes and operators read
// it from the next heartbeat.
func (r *Relay) suspend(forwarder string, since time.Time, f Failure) {
	r.mu.Lock()
	if r.suspended == nil {
		r.suspended = make(map[string]Suspension)
	}
	r.suspended[forwarder] = Suspension{Since: since.UTC(), Reason: f.Reason, Error: errorText(f.Err)}
	r.mu.Unlock()
	r.heartbeatSoon()
}

func (r *Relay) resume(forwarder string) {
	r.mu.Lock()
	delete(r.suspended, forwarder)
	r.mu.Unlock()
	r.heartbeatSoon()
}

// registers returns what this process has to say of itself now.
func (r *Relay) registers() registered {
	own := r.own
	own.Environment = &r.store.env
	r.mu.Lock()
	defer r.mu.Unlock()
	own.Suspended = maps.Clone(r.suspended)
	return own
}

// suspensions returns where each forwarder is suspended.
func suspensions(all []registered) map[string][]Suspension {
	found := make(map[string][]Suspension)
	for i := range all {
		for name, s := range all[i].Suspended {
			s.Program, s.Process = all[i].Program, all[i].Process
			found[name] = append(found[name], s)
		}
	}
	return found
}
