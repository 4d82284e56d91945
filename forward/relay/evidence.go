package relay

import (
	"time"

	"github.com/google/uuid"
)

const (
	// pays is how many entries that fail alone, one after the other, may be charged on
	// one proof. So many attempts are taken back if no other proof follows.
	pays = 8
	// freshness is how long after a call its proof still counts for the next call.
	freshness = 5 * time.Second
	// manyForgiven is when to forget which were forgiven: a bound for memory.
	manyForgiven = 1000
)

// evidence is what is known of the sink. It is proved to be up when it accepts an entry,
// or refuses one for good.
type evidence struct {
	last time.Time // when a call ended
	left int       // how many entries may still be charged on the last proof
	// charged are the entries that an attempt was counted against since, and
	// forgiven those from which it was taken back.
	charged  []uuid.UUID
	forgiven map[uuid.UUID]bool
}

// called notes a call: what an earlier one has shown is over after a while.
func (e *evidence) called(began, ended time.Time) {
	if began.Sub(e.last) > freshness {
		e.left = 0
	}
	e.last = ended
}

// prove notes that the sink is up.
func (e *evidence) prove() { e.left, e.charged = pays, nil }

// charge counts an attempt against an entry that failed alone.
func (e *evidence) charge(id uuid.UUID) {
	e.left--
	e.charged = append(e.charged, id)
}

// forgive notes that the sink is down, and returns the entries that have failed since it
// was last up: it may have been down then. Each is forgiven once: one that fails after
// each proof is bad, even if nothing good follows that would show it.
func (e *evidence) forgive() (ids []uuid.UUID) {
	if e.forgiven == nil || len(e.forgiven) > manyForgiven {
		e.forgiven = make(map[uuid.UUID]bool)
	}
	for _, id := range e.charged {
		if !e.forgiven[id] {
			e.forgiven[id] = true
			ids = append(ids, id)
		}
	}
	e.left, e.charged = 0, nil
	return ids
}
