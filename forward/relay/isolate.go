package relay

import (
	"math/bits"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
)

// alone is how many entries Isolate tries alone, before it takes the sink for down.
const alone = 1 + firstProbes

// Isolate finds out which of entries the sink refuses, after a call with all of them has
// failed. It is for a queue whose jobs name several entries, where a bad one must not use
// up the others' attempts. It reports false if the sink accepts none of the few that are
// tried alone, so that it must be taken to be down. It must not be called after a call
// that hangs.
func Isolate(entries []journal.Entry, call func([]journal.Entry) Result) (r Result, up bool) {
	known := make(map[uuid.UUID]*Failure) // nil: accepted
	n := len(entries)
	for i := 0; i < alone && len(known) < n && !up; i++ {
		e := spread(i, entries, known)
		one := call(e)
		known[e[0].ID] = one.of(e[0].ID)
		if one.Hung {
			return Result{}, false
		}
		up = one.proves(1)
	}
	if !up {
		return Result{}, false
	}
	r.Failed = make(map[uuid.UUID]Failure)
	var rest []journal.Entry
	for i := range entries {
		switch f, tried := known[entries[i].ID]; {
		case !tried:
			rest = append(rest, entries[i])
		case f != nil:
			r.Failed[entries[i].ID] = *f
		}
	}
	r.halve(rest, call)
	return r, true
}

// spread returns the i-th entry to try alone: the first, the last, then the middles of
// ever smaller parts; or, where that one is known, the next that is not.
func spread(i int, entries []journal.Entry, known map[uuid.UUID]*Failure) []journal.Entry {
	n := len(entries)
	at := 0
	switch {
	case i == 1:
		at = n - 1
	case i > 1:
		const ofAll = 8 // bits
		at = n * int(bits.Reverse8(uint8(i-1))) >> ofAll
	}
	for {
		if _, tried := known[entries[at].ID]; !tried {
			return entries[at : at+1]
		}
		at = (at + 1) % n
	}
}

// halve adds what fails of rest. A sink that goes down meanwhile, or hangs, fails all
// that is left.
func (r *Result) halve(rest []journal.Entry, call func([]journal.Entry) Result) {
	var p plan
	p.push(len(rest)/2, (len(rest)+1)/2)
	for row := 0; len(rest) > 0; {
		part := rest[:p.size(len(rest))]
		got := call(part)
		doubtful := got.doubtful(len(part))
		switch {
		case got.Hung || doubtful && row == pays:
			for i := range rest {
				r.Failed[rest[i].ID] = got.why()
			}
			return
		case doubtful && len(part) > 1:
			p.failed(len(part), false)
			continue
		case doubtful:
			row++
		default:
			row = 0
		}
		for id, f := range got.failures(part) {
			r.Failed[id] = f
		}
		rest = rest[len(part):]
		p.passed(len(part))
	}
}
