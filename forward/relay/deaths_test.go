package relay

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
)

// TestDeathsNarrowDown: each death leaves fewer suspects, until one entry was alone often
// enough. The others are called meanwhile.
func TestDeathsNarrowDown(t *testing.T) {
	for n, want := range map[int]int{1: 5, 2: 6, 25: 6, 32: 6, 33: 7, 500: 7, 1024: 7} {
		for _, bad := range []int{0, n / 2, n - 1} {
			entries := entriesOf(make([]string, n)...)
			fatal := entries[bad].ID
			d := &deaths{Calling: idsOf(entries)}
			died, now := 1, time.Now()
			d.inherit(now)
			for {
				d.plan()
				left, calls := entries, 0
				for len(left) > 0 {
					k := d.limit(len(left), func(i int) uuid.UUID { return left[i].ID })
					part := left[:k]
					if d.judge(part, now) != nil {
						break
					}
					calls++
					if slices.ContainsFunc(part, func(e journal.Entry) bool { return e.ID == fatal }) {
						d.Calling = idsOf(part)
						break
					}
					for _, e := range part {
						d.clear(e.ID)
					}
					left = left[k:]
				}
				if d.Calling == nil {
					break
				}
				if calls > 2*few {
					t.Fatalf("%d calls in one life, for %d entries", calls, n)
				}
				died++
				d.inherit(now)
			}
			if died != want {
				t.Errorf("%d deaths for entry %d of %d, want %d", died, bad, n, want)
			}
			if d.uncounted(fatal) != 5 || len(d.Alone) != 1 {
				t.Errorf("alone are %v", d.Alone)
			}
		}
	}
}

func idsOf(entries []journal.Entry) (ids []uuid.UUID) {
	for i := range entries {
		ids = append(ids, entries[i].ID)
	}
	return ids
}

// TestSuspectsDoNotHoldOthersUp: entries that are not suspected come together, up to the
// first that is.
func TestSuspectsDoNotHoldOthersUp(t *testing.T) {
	entries := entriesOf(make([]string, 10)...)
	d := &deaths{Suspects: idsOf(entries[6:])}
	d.plan()
	limit := func(from int) int {
		return d.limit(len(entries)-from, func(i int) uuid.UUID { return entries[from+i].ID })
	}
	if n := limit(0); n != 6 {
		t.Errorf("%d come before the first suspect, want 6", n)
	}
	if n := limit(6); n != 1 {
		t.Errorf("%d suspects come together, want 1", n)
	}
	d.Alone = map[uuid.UUID]lone{entries[3].ID: {Deaths: 1}}
	if before, alone := limit(0), limit(3); before != 3 || alone != 1 {
		t.Errorf("%d come before one that was alone, and it with %d, want 3 and 1", before, alone)
	}
}
