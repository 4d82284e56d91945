package relay

import (
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"
)

// backlog are entries that wait, in the order of spots, in rows of several.
type backlog struct {
	rnd     *rand.Rand
	entries []candidate
}

// add adds a row of n entries, some way behind the last one.
func (b *backlog) add(n int) {
	at := spot{number: int64(b.rnd.IntN(1000)), key: uuid.UUID{byte(b.rnd.IntN(256))}}
	if last := len(b.entries) - 1; last >= 0 {
		at.number = b.entries[last].at.number + int64(b.rnd.IntN(20))
		at.key = b.entries[last].at.key
		if at.key[15]++; at.key[15] == 0 {
			at.key[14]++
		}
	}
	for i := range n {
		at.ordinal = i
		b.entries = append(b.entries, candidate{at: at})
	}
}

// from returns the entries of the first row that is not wholly before a spot.
func (b *backlog) from(at spot) []candidate {
	for i := range b.entries {
		begin, end := b.entries[i].at, b.entries[i].at
		if begin.ordinal > 0 {
			continue
		}
		row := b.entries[i : i+1]
		for len(row) < len(b.entries)-i && b.entries[i+len(row)].at.key == begin.key {
			row = b.entries[i : i+len(row)+1]
		}
		if end.ordinal = rowEnd; end.compare(at) >= 0 {
			return row
		}
	}
	return nil
}

// try returns what a probe tries: what is meant, or else the next one, or the first of all.
func (b *backlog) try(r *rotation) spot {
	p := r.next(b.entries[0].at.number, b.entries[len(b.entries)-1].at)
	found := b.entries[0].at
	if row := b.from(p.from); row != nil {
		if i := p.first(row); i < len(row) {
			found = row[i].at
		} else if row = b.from(spot{row[0].at.number, row[0].at.key, rowEnd + 1}); row != nil {
			found = row[0].at
		}
	}
	if p.sweeps {
		r.swept = spot{found.number, found.key, found.ordinal + 1}
	}
	return found
}

// TestRotation: of n entries that wait, each is tried within 3n/2 pauses, and three, wherever it
// begins, with gaps between them and while new ones arrive.
func TestRotation(t *testing.T) {
	for seed := range uint64(200) {
		b := &backlog{rnd: rand.New(rand.NewPCG(seed, 0))} //nolint:gosec // a case to be had again
		for range 1 + b.rnd.IntN(100) {
			b.add(1 + b.rnd.IntN(5)*b.rnd.IntN(2))
		}
		n := len(b.entries)
		waiting := make(map[spot]bool)
		for _, a := range b.entries {
			waiting[a.at] = true
		}
		r := newRotation()
		for range 3*n/2 + 3 {
			for range laterProbes {
				delete(waiting, b.try(&r))
			}
			if b.rnd.IntN(2) == 0 {
				b.add(1)
			}
		}
		if len(waiting) > 0 {
			t.Fatalf("seed %d: %d of %d are not tried", seed, len(waiting), n)
		}
	}
}

// TestRotationReaches: a row of good entries behind many bad ones is found soon, and a
// new entry at once.
func TestRotationReaches(t *testing.T) {
	const n, good = 1 << 16, 1 << 12 // the last 4,096
	r := newRotation()
	r.newest = spot{number: n}
	for probes := 1; ; probes++ {
		if p := r.next(1, spot{number: n}); p.from.number > n-good {
			break
		}
		if most := 4 * n / good; probes > most {
			t.Fatalf("not found by %d probes", most)
		}
	}
	for probes := 1; ; probes++ {
		if p := r.next(1, spot{number: n + 1}); p.from.number == n+1 {
			break
		}
		if probes == 3 {
			t.Fatal("what is new is not tried")
		}
	}
}

// TestRotationWithinARow: where all that waits is in one row, it is divided too.
func TestRotationWithinARow(t *testing.T) {
	row := make([]candidate, 1000)
	for i := range row {
		row[i].at = spot{number: 7, key: uuid.UUID{1}, ordinal: i}
	}
	r := newRotation()
	high := row[len(row)-1].at
	r.newest = high
	parts := make(map[int]bool)
	for range 96 { // of which a third are for the sweep
		p := r.next(7, high)
		if i := p.first(row); !p.sweeps {
			parts[i/100] = true
		}
	}
	if len(parts) != 10 {
		t.Errorf("%d of ten parts are tried", len(parts))
	}
}
