package hooks_test

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
)

func TestNewID(t *testing.T) {
	before := time.Now().Truncate(time.Millisecond)
	id := hooks.NewID()
	sec, nsec := id.Time().UnixTime()
	if at := time.Unix(sec, nsec); id.Version() != 7 || id.Variant() != uuid.RFC4122 || at.Before(before) || at.After(time.Now().Add(time.Second)) {
		t.Errorf("%s: version %d, variant %s, made at %v", id, id.Version(), id.Variant(), at)
	}
	var changed [8]byte
	for range 10_000 {
		next := hooks.NewID()
		if bytes.Compare(next[:], id[:]) <= 0 {
			t.Fatalf("%s came after %s", next, id)
		}
		for i := range changed {
			changed[i] |= next[8+i] ^ id[8+i]
		}
		id = next
	}
	if want := [8]byte{0x3F, 255, 255, 255, 255, 255, 255, 255}; changed != want {
		t.Errorf("bits that change: %x, want %x", changed, want)
	}
}

// TestNewIDAtOnce: several goroutines make no two of the same time.
func TestNewIDAtOnce(t *testing.T) {
	var all sync.Map
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5_000 {
				id := hooks.NewID()
				if _, twice := all.LoadOrStore([8]byte(id[:8]), true); twice {
					t.Errorf("%s: its time is that of another one", id)
					return
				}
			}
		})
	}
	wg.Wait()
}
