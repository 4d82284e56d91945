package relay

import (
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// TestDistinct: two entries with one event ID are in calls of their own, also where the first one
// was accepted ahead of the cursor: what is refused is the second.
func TestDistinct(t *testing.T) {
	id := uuid.New()
	entry := func(ordinal int, unreadable string) candidate {
		return candidate{entry: &journal.Entry{Position: journal.Position{Ordinal: ordinal}, Event: hooks.Event{ID: id}, Unreadable: unreadable}}
	}
	batch := []candidate{entry(0, ""), entry(1, "")}
	if n := (&worker{}).distinct(batch); n != 1 {
		t.Errorf("%d twins in one call", n)
	}
	w := &worker{ahead: map[journal.Position]bool{batch[0].entry.Position: true}}
	if n := w.distinct(batch); n != 1 {
		t.Errorf("%d beside one that was accepted", n)
	}
	batch[0] = entry(0, "format")
	if n := w.distinct(batch); n != 2 {
		t.Errorf("%d beside one that cannot be read, want both", n)
	}
}
