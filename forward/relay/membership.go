package relay

import (
	"math/rand/v2"
	"time"
)

// membership is what a process knows of the others, as of its last heartbeat.
type membership struct {
	began  time.Time // of the relay
	beat   time.Time // of the last heartbeat
	pace   float64   // in leases, to the next one
	soon   bool      // the next one is not to wait for that
	failed error     // why the last one was not sent
	// known is a hash of what others have registered and who has the leases, nil if that has
	// to be read again.
	known     *int64
	processes int // that live, zero before the first heartbeat
}

// A process that has no lease sends a heartbeat every six to nine tenths of a lease. So one
// that is alone with the next lease takes it within two leases after a crash, an earlier
// version, which forgets a process after one lease, does not forget it, and fifty processes
// do not look at the same time.
const (
	slowest = 0.9 // in leases
	fastest = 0.6
)

// memberFor is for how many leases a process counts after its last heartbeat: it may miss two.
const memberFor = 3

// lately is how long a process's registration counts for States and Resume after its last
// heartbeat, in case no other process is left to delete it.
const lately = time.Minute

func newMembership(now time.Time) membership {
	return membership{began: now, soon: true}
}

// due returns when the next heartbeat is due, by how many of its forwarders' leases the
// process has.
func (m *membership) due(cfg *Config, together bool, held, all int) time.Time {
	if m.beat.IsZero() {
		return m.began
	}
	wait := cfg.Lease / renewals
	if together && held == 0 {
		wait = min(time.Duration(m.pace*float64(cfg.Lease)), lately/2)
	}
	// All processes that are new, or commit, together look about as often as one that has a
	// lease: so they soon find what another gives back.
	isNew := together && held < all && m.beat.Sub(m.began) < memberFor*cfg.Lease
	if m.soon || isNew {
		wait = min(wait, cfg.Poll*time.Duration(max(1, m.processes)))
	}
	return m.beat.Add(wait)
}

// sent notes a heartbeat, or why it was not sent.
func (m *membership) sent(now time.Time, err error) {
	m.beat, m.pace, m.failed = now, fastest+(slowest-fastest)*rand.Float64(), err
	if m.soon = err != nil; m.soon {
		m.known = nil
	}
}
