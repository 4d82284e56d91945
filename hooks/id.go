package hooks

import (
	"crypto/rand"
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// NewID returns a UUIDv7 (RFC 9562, section 5.7), as [Record] gives it to an event. It is
// greater than all that this process has made before, by whatever clock, and has 62 random
// bits. Unlike [uuid.NewV7] it allocates nothing. The driver makes the keys of flushes with it
// too.
func NewID() uuid.UUID {
	var id uuid.UUID
	_, _ = rand.Read(id[8:]) // it never fails
	at := nextTick()
	binary.BigEndian.PutUint64(id[:8], at>>12<<16|0x7000|at&0xFFF) // version 7
	id[8] = id[8]&0x3F | 0x80                                      // the RFC's variant
	return id
}

var lastTick atomic.Uint64

// nextTick returns the time in milliseconds, with twelve bits for parts of one.
func nextTick() uint64 {
	const ms = uint64(time.Millisecond)
	ns := uint64(time.Now().UnixNano())
	now := ns/ms<<12 | ns%ms<<12/ms
	for {
		last := lastTick.Load()
		now = max(now, last+1)
		if lastTick.CompareAndSwap(last, now) {
			return now
		}
	}
}
