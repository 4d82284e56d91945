package relay

import (
	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
)

// isolate finds, after an attempt at all of entries that failed as a whole for a
// reason that may pass, whether it is the sink or some of the entries. A sink
// that takes neither the first nor the last alone is down. Otherwise what it
// does not take is found by halving: one bad entry among n costs 2 log n calls.
//
// call makes an attempt. It must not be called for a sink that hangs.
func isolate(entries []journal.Entry, call func([]journal.Entry) Result) (o outcome) {
	o.failed = make(map[uuid.UUID]Failure)
	n := len(entries)
	if n == 1 {
		return outcome{down: true}
	}
	first := call(entries[:1])
	if first.Hung {
		return outcome{hung: true}
	}
	if first.transient() {
		last := call(entries[n-1:])
		if last.Hung || last.transient() {
			return outcome{down: !last.Hung, hung: last.Hung}
		}
		o.add(entries[:1], first)
		o.add(entries[n-1:], last)
		entries = entries[1 : n-1]
	} else {
		o.add(entries[:1], first)
		entries = entries[1:]
	}
	o.halve(entries, call)
	return o
}

func (o *outcome) add(entries []journal.Entry, r Result) {
	for i := range entries {
		if f := r.of(entries[i].ID); f != nil {
			o.failed[entries[i].ID] = *f
		}
	}
}

// halve delivers entries by halves, since they failed together.
func (o *outcome) halve(entries []journal.Entry, call func([]journal.Entry) Result) {
	half := (len(entries) + 1) / 2
	for _, part := range [][]journal.Entry{entries[:half], entries[half:]} {
		if len(part) == 0 || o.hung {
			continue
		}
		r := call(part)
		switch {
		case r.Hung:
			o.hung = true
		case r.transient() && len(part) > 1:
			o.halve(part, call)
		default:
			o.add(part, r)
		}
	}
}
