package relay

import (
	"maps"
	"math/bits"
	"slices"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
)

// aloneProbes is how many entries a Trial tries alone before it takes the sink for down.
const aloneProbes = 1 + firstProbes

// Trial is one attempt at the entries of a queue's job. It finds out which of them the
// sink refuses, as the relay does for those of the journal, so that bad entries do not use
// up the attempts of good ones. If the sink accepts nothing at all, nothing is found out.
type Trial struct {
	// Call makes one call. It returns the entries that the filter keeps.
	Call func([]journal.Entry) ([]journal.Entry, Result)
	// Stop is asked before each call, and returns why there must not be another.
	Stop func() *Failure
	// Up says that the sink is known to have accepted something since the last attempt.
	Up bool
	// OneByOne says that an earlier call with several entries did not return in time, so
	// that the sink gets each alone.
	OneByOne bool
	// Turn is how many attempts in a row before this one found nothing that the sink
	// accepts. It chooses which entries are tried alone: others in each attempt.
	Turn int
}

// Findings are what a [Trial] has found out.
type Findings struct {
	// Accepted are the entries that the sink, and not the filter, has accepted.
	Accepted []uuid.UUID
	// Failed are those that failed alone, or were named, while the sink was up: it had
	// accepted something before.
	Failed map[uuid.UUID]Failure
	// Untried are those of which nothing is known, because the sink seems to be down or
	// the attempt was stopped. Why is the last failure then.
	Untried []uuid.UUID
	Why     Failure
	// Proved says that the sink has accepted something, or refused something for good.
	Proved bool
	// Several says that a call with several entries has not returned in time.
	Several bool
	// Starved is why a call got no connection, which has ended the attempt.
	Starved error
}

// Run makes the attempt.
func (t Trial) Run(entries []journal.Entry) Findings {
	r := &run{Trial: t, known: make(map[uuid.UUID]*Failure)}
	failed, left := r.together(entries)
	if !r.Up {
		r.probe(slices.Concat(append(failed, left)...))
	}
	if r.Up {
		for _, part := range failed {
			r.divide(part, true)
		}
		for part := range slices.Chunk(left, DefaultBatch) {
			r.divide(part, false)
		}
	}
	r.Failed = make(map[uuid.UUID]Failure)
	for i := range entries {
		id := entries[i].ID
		switch f, ok := r.known[id]; {
		case !ok || f != nil && !r.Up:
			r.Untried = append(r.Untried, id)
		case f != nil:
			r.Failed[id] = *f
		}
	}
	return r.Findings
}

// run is a Trial that is running.
type run struct {
	Trial
	Findings
	known   map[uuid.UUID]*Failure // what became of an entry; nil if it was accepted
	stopped bool
}

// together makes calls that are as large as the relay's, and returns the parts that failed
// as a whole. After two of these in a row it takes the sink for down, unless it is known
// to be up, and returns what is left.
func (r *run) together(entries []journal.Entry) (failed [][]journal.Entry, left []journal.Entry) {
	const most = 2
	for refused := 0; !r.OneByOne && len(entries) > 0 && (refused < most || r.Up) && !r.stopped; {
		part := entries[:min(DefaultBatch, len(entries))]
		entries = entries[len(part):]
		if refused++; r.call(part) {
			refused = 0
		} else {
			failed = append(failed, part)
		}
	}
	return failed, entries
}

// probe tries a few of the entries alone, until the sink accepts one.
func (r *run) probe(entries []journal.Entry) {
	entries = r.unknown(entries)
	for _, at := range choose(r.Turn, len(entries)) {
		if r.Up || r.stopped {
			return
		}
		r.call(entries[at : at+1])
	}
}

// choose returns which of n entries to try alone: at first some all over, in later turns
// one after another, so that each is tried some time.
func choose(turn, n int) (at []int) {
	for i := range min(aloneProbes, n) {
		k := ((turn-1)*aloneProbes + i) % n
		if turn == 0 {
			k = spread(i, n)
		}
		for slices.Contains(at, k) {
			k = (k + 1) % n
		}
		at = append(at, k)
	}
	return at
}

// spread returns the first, the last, then the middles of ever smaller parts of n.
func spread(i, n int) int {
	const ofAll = 8 // bits
	switch i {
	case 0:
		return 0
	case 1:
		return n - 1
	default:
		return n * int(bits.Reverse8(uint8(i-1))) >> ofAll
	}
}

// divide makes calls with ever smaller parts of entries, down to single ones: the sink is
// up, so one that fails alone is at fault. fail says that a call with all of them has
// failed already.
func (r *run) divide(entries []journal.Entry, fail bool) {
	rest := r.unknown(entries)
	fail = fail && len(rest) == len(entries) // what is known by now may have been why
	switch n := len(rest); {
	case n == 0 || r.stopped:
	case r.OneByOne: // to halve would wait for the timeout again and again
		for i := range rest {
			r.call(rest[i : i+1])
		}
	case fail && n > 1 || !r.call(rest) && n > 1:
		r.divide(rest[:n/2], false)
		r.divide(rest[n/2:], false)
	}
}

// unknown returns those of entries of which nothing is known.
func (r *run) unknown(entries []journal.Entry) []journal.Entry {
	return slices.DeleteFunc(slices.Clone(entries), func(e journal.Entry) bool {
		_, ok := r.known[e.ID]
		return ok
	})
}

// call makes one call, and reports whether it says what became of each entry.
func (r *run) call(entries []journal.Entry) bool {
	if r.stops() {
		return false
	}
	n := len(entries)
	seen, got := r.Call(entries)
	if got.Starved != nil {
		r.stopped, r.Starved, r.Why = true, got.Starved, got.why()
		return false
	}
	doubtful := got.doubtful(n)
	if doubtful {
		r.Why = got.why()
	} else if got.proves(n) {
		if !r.Up {
			r.forgive()
		}
		r.Up, r.Proved = true, true
	}
	if !doubtful || n == 1 && !r.stops() { // a call that was cut short says nothing
		r.note(entries, seen, &got)
	}
	if doubtful && got.late() && n > 1 && !r.stops() {
		r.Several, r.OneByOne = true, true
	}
	r.stopped = r.stopped || got.Hung
	return !doubtful
}

// forgive has the entries tried again that have failed so far: the sink may have come back
// since.
func (r *run) forgive() {
	maps.DeleteFunc(r.known, func(_ uuid.UUID, f *Failure) bool { return f != nil && !f.Permanent })
}

// stops reports whether there must not be another call.
func (r *run) stops() bool {
	if r.stopped {
		return true
	}
	why := r.Stop()
	if why != nil {
		r.stopped, r.Why = true, *why
	}
	return r.stopped
}

// note keeps what became of entries, of which the filter kept those that were seen.
func (r *run) note(entries, seen []journal.Entry, got *Result) {
	for i := range entries {
		r.known[entries[i].ID] = nil
	}
	for i := range seen {
		id := seen[i].ID
		f := got.of(id)
		if r.known[id] = f; f == nil {
			r.Accepted = append(r.Accepted, id)
		}
	}
}
