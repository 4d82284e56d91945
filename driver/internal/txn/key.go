package txn

import (
	"math/rand/v2"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Each write leaves a row whose key the client has made, so that it can be asked later whether
// the write was committed, whatever the connection saw. A key is never reused: after a rollback
// that was not seen, another write with the same key could be taken for the first.

// Limits of one write. A transaction that holds more is written in several.
const (
	maxPart      = hooks.MaxFlush
	maxPartBytes = 1 << 20 // as estimated
)

// Part returns how many of events go into one write, at least one.
func Part(events []hooks.Event) int {
	const few = 16 // which cannot reach maxPartBytes
	if len(events) <= few {
		return len(events)
	}
	size := 0
	for i := range events {
		if size += lengthOf(&events[i]); i > 0 && (size > maxPartBytes || i == maxPart) {
			return i
		}
	}
	return len(events)
}

// AssignKey makes the key of the next write, of n pending events behind the first skip, and
// notes it on them. Whether that write stands is unknown until Written.
func (r *Record) AssignKey(skip, n int) uuid.UUID {
	key := hooks.NewID()
	at := -skip
	for i := r.written; i < len(r.items) && at < n; i++ {
		it := &r.items[i]
		if !it.isPending() {
			continue
		}
		if at >= 0 {
			it.key, it.ordinal = key, at
		}
		at++
	}
	r.lastKey = key
	return key
}

// HasKey reports whether the transaction has tried a write.
func (r *Record) HasKey() bool { return r.lastKey != uuid.Nil }

// kept is what a handler keeps of a write.
type kept struct {
	key   uuid.UUID
	value any
}

// Keep keeps v with the last write. The transaction's COMMIT must be next, or ForgetKept.
func (r *Record) Keep(v any) { r.kept = append(r.kept, kept{r.lastKey, v}) }

// ForgetKept forgets what was kept: the COMMIT has not come.
func (r *Record) ForgetKept() {
	clear(r.kept)
	r.kept = r.kept[:0]
}

// returnKept gives writes of a transaction that has committed what was kept with them.
func (r *Record) returnKept(writes []hooks.Write) {
	for i := range writes {
		for j := range r.kept {
			if k := &r.kept[j]; k.key == writes[i].Key {
				writes[i].Kept = k.value
			}
		}
	}
}

// writesOf groups items by the write that they were last in. events are all events of items.
func writesOf(items []item, events []hooks.Event) (writes []hooks.Write) {
	if len(events) > 0 && len(events) == len(items) && inOneWrite(items) {
		return []hooks.Write{{Key: items[0].key, First: items[0].ordinal, Events: events}}
	}
	for i := range items {
		it := &items[i]
		if it.key == uuid.Nil {
			continue
		}
		n := len(writes)
		if n == 0 || writes[n-1].Key != it.key {
			writes = append(writes, hooks.Write{Key: it.key, First: it.ordinal})
			n++
		}
		writes[n-1].Events = append(writes[n-1].Events, it.event)
	}
	return writes
}

// inOneWrite reports whether items are events that one write has, one behind the other.
func inOneWrite(items []item) bool {
	for i := range items {
		if it := &items[i]; it.key == uuid.Nil || it.key != items[0].key || it.ordinal != items[0].ordinal+i {
			return false
		}
	}
	return true
}

// TxNumber identifies the transaction, as [hooks.Flush.Tx].
func (r *Record) TxNumber() int64 {
	for r.txNumber == 0 {
		r.txNumber = rand.Int64()
	}
	return r.txNumber
}
