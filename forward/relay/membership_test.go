package relay

import (
	"testing"
	"time"
)

// TestMembershipDue: when the next heartbeat is due, after the last one.
func TestMembershipDue(t *testing.T) {
	const lease, poll = 10 * time.Second, 400 * time.Millisecond
	old := 4 * lease
	for name, test := range map[string]struct {
		age       time.Duration // of the relay, at the last heartbeat
		soon      bool
		alone     bool // each worker looks by itself
		held, all int
		processes int
		want      time.Duration
	}{
		"with all leases":                    {age: old, held: 2, all: 2, processes: 2, want: lease / 3},
		"with one of two":                    {age: old, held: 1, all: 2, processes: 2, want: lease / 3},
		"without":                            {age: old, all: 2, processes: 2, want: 7 * time.Second},
		"new, with all leases":               {held: 2, all: 2, processes: 1, want: lease / 3},
		"new, with one of two":               {held: 1, all: 2, processes: 2, want: 2 * poll},
		"new, without":                       {all: 2, processes: 3, want: 3 * poll},
		"new, without, one of many":          {all: 2, processes: 50, want: 7 * time.Second},
		"not new any more":                   {age: 3 * lease, all: 2, processes: 2, want: 7 * time.Second},
		"soon":                               {age: old, soon: true, all: 2, processes: 2, want: 2 * poll},
		"soon, the first one has failed":     {age: old, soon: true, all: 2, want: poll},
		"soon, one of many":                  {age: old, soon: true, all: 2, processes: 50, want: 7 * time.Second},
		"soon, with all leases":              {age: old, soon: true, held: 2, all: 2, processes: 1, want: poll},
		"by itself, new, without, on a file": {alone: true, all: 2, processes: 2, want: lease / 3},
	} {
		began := time.Now()
		m := newMembership(began)
		m.beat, m.pace, m.soon, m.processes = began.Add(test.age), 0.7, test.soon, test.processes
		if got := m.due(&Config{Lease: lease, Poll: poll}, !test.alone, test.held, test.all).Sub(m.beat); got != test.want {
			t.Errorf("%s: after %v, want %v", name, got, test.want)
		}
	}
	m := newMembership(time.Now())
	m.sent(m.began.Add(4*time.Hour), nil)
	if got := m.due(&Config{Lease: time.Hour, Poll: poll}, true, 0, 1).Sub(m.beat); got != lately/2 {
		t.Errorf("with a long lease after %v, want %v: operators see what was registered within a minute", got, lately/2)
	}
}

// TestPace: a process without a lease sends a heartbeat every six to nine tenths of a lease,
// at another time after each.
func TestPace(t *testing.T) {
	m, paces := newMembership(time.Now()), make(map[float64]bool)
	for range 1000 {
		m.sent(time.Now(), nil)
		if m.pace < fastest || m.pace > slowest {
			t.Fatalf("the next one after %v leases", m.pace)
		}
		paces[m.pace] = true
	}
	if len(paces) < 900 {
		t.Errorf("%d different paces of 1,000", len(paces))
	}
}
