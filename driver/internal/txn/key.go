package txn

import (
	"fmt"
	"math/rand/v2"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// A row that a write leaves in the database has a key that the client has made. By it can be
// found out later what became of the write, whatever the connection has seen. A key is never used
// again: where a write was taken back, unseen, another one with its key could pass for it.

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
		if size += sizeOf(&events[i]) + sizeOfOthers(&events[i]); i > 0 && (size > maxPartBytes || i == maxPart) {
			return i
		}
	}
	return len(events)
}

// Mark notes that the next write is of so many pending events, behind the first skip ones, and
// returns its key. Whether it stands is for the rows to say until it is Written.
func (r *Record) Mark(skip, n int) (uuid.UUID, error) {
	key, err := uuid.NewV7()
	if err != nil {
		return key, fmt.Errorf("driver: make a key for the journal: %w", err)
	}
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
	return key, nil
}

// writesOf returns the writes that items were in last, each with those of its events that are
// among them. events are all those of items.
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

// Signature returns the number by which the witness, and the database where it has none of
// its own, knows the transaction.
func (r *Record) Signature() int64 {
	for r.signature == 0 {
		r.signature = rand.Int64()
	}
	return r.signature
}
