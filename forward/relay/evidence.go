package relay

import (
	"slices"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
)

const (
	// pays is how many entries that fail alone, one after the other, may be charged on
	// one proof. So many attempts are taken back if no other proof follows.
	pays = 8
	// freshness is how long after a call its proof still counts for the next call.
	freshness = 5 * time.Second
	// remembered is how many entries are remembered, as forgiven or as failed: a bound
	// for memory.
	remembered = 1000
)

// evidence is what is known of the sink. It is proved to be up when it accepts an entry,
// or refuses one for good.
type evidence struct {
	began, last time.Time // of the last call, and when it ended
	budget      int       // how many entries may still be charged on the last proof
	// charged are the attempts that were counted since, and forgiven the entries from
	// which one was taken back.
	charged  []charge
	forgiven map[journal.Position]bool
	// failed is when the last call of each entry that has failed alone began.
	failed map[journal.Position]time.Time
}

// charge is an attempt that was counted, and when its call began.
type charge struct {
	at    journal.Position
	began time.Time
}

// called notes a call: what an earlier one has shown is over after a while.
func (e *evidence) called(began, ended time.Time) {
	if began.Sub(e.last) > freshness {
		e.budget = 0
	}
	e.began, e.last = began, ended
}

// prove notes that the sink was up at a time. If that is long ago, it counts for one entry
// only. What was charged later is kept: the sink may have gone down since.
func (e *evidence) prove(at time.Time) {
	e.budget = pays
	if e.began.Sub(at) > freshness {
		e.budget = 1
	}
	e.charged = slices.DeleteFunc(e.charged, func(c charge) bool { return !c.began.After(at) })
}

// failedAlone notes that the last call had this entry alone, and failed. If the sink has accepted
// another entry after since, this one is at fault: since is when it failed the time before, or
// else when the call began.
func (e *evidence) failedAlone(at journal.Position) (since time.Time) {
	since, again := e.failed[at]
	if !again {
		since = e.began
	}
	if e.failed == nil || len(e.failed) > remembered {
		e.failed = make(map[journal.Position]time.Time)
	}
	e.failed[at] = e.began
	return since
}

// charge counts an attempt against an entry that failed alone.
func (e *evidence) charge(at journal.Position) {
	e.budget--
	e.charged = append(e.charged, charge{at, e.began})
}

// forgive notes that the sink is down, and returns the entries that have failed since it
// was last up: it may have been down then. Each is forgiven once: one that fails after
// each proof is bad, even if nothing good follows that would show it.
func (e *evidence) forgive() (entries []journal.Position) {
	if e.forgiven == nil || len(e.forgiven) > remembered {
		e.forgiven = make(map[journal.Position]bool)
	}
	for _, c := range e.charged {
		if !e.forgiven[c.at] {
			e.forgiven[c.at] = true
			entries = append(entries, c.at)
		}
	}
	e.budget, e.charged = 0, nil
	return entries
}
