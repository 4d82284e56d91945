package txn

import "github.com/go-aftercommit/aftercommit/hooks"

// Pending returns the events that are not written yet, complete.
func (r *Record) Pending() []hooks.Event {
	events := eventsOf(r.items[r.written:], 0)
	if r.written == 0 {
		r.all = events
	}
	return events
}

// whole returns all events of a transaction that ends. They are those of its only write, if
// that had them all.
func (r *Record) whole() []hooks.Event {
	if r.written == len(r.items) && len(r.all) == len(r.items) && r.isAll() {
		return r.all
	}
	return eventsOf(r.items, r.written)
}

// isAll reports whether no other events have come in the place of those of that write.
func (r *Record) isAll() bool {
	for i := range r.items {
		if it := &r.items[i]; !it.isEvent() || it.event.ID != r.all[i].ID {
			return false
		}
	}
	return true
}

// Written notes that all that the transaction holds is written.
func (r *Record) Written() { r.written = len(r.items) }

// HasWritten reports whether something was written that the transaction's end
// decides on.
func (r *Record) HasWritten() bool { return r.written > 0 }

// MustProve reports whether the transaction, with nothing pending, has to be proven
// to be there at its COMMIT. What is written proves itself, because it is committed
// with it; functions, and what a handler keeps in memory, do not.
func (r *Record) MustProve() bool {
	if r.written > 0 {
		return r.InMemory
	}
	return r.HasFuncs()
}

// TakePending removes the pending events; functions stay.
func (r *Record) TakePending() []hooks.Event {
	events := r.Pending()
	kept := r.items[:r.written]
	for _, it := range r.items[r.written:] {
		if !it.isEvent() {
			kept = append(kept, it)
		}
	}
	clear(r.items[len(kept):])
	r.items, r.written = kept, len(kept)
	return events
}

// HasFuncs reports whether a function waits for the end.
func (r *Record) HasFuncs() bool {
	for i := range r.items {
		if !r.items[i].isEvent() {
			return true
		}
	}
	return false
}

// eventsOf returns the events among items, complete. The first written of them have been
// written, and stay as they are.
func eventsOf(items []item, written int) []hooks.Event {
	events := make([]hooks.Event, 0, len(items))
	for i := range items {
		it := &items[i]
		if !it.isPending() {
			continue
		}
		if it.captured != nil && i >= written {
			it.captured.complete(&it.event)
		}
		events = append(events, it.event)
	}
	return events
}

func funcsOf(items []item) (funcs []Func) {
	for i := range items {
		if it := &items[i]; !it.isEvent() {
			funcs = append(funcs, it.fn)
		}
	}
	return funcs
}
