package relay

import (
	"math/rand/v2"
	"testing"
)

// TestRotation: of n entries that wait, each is tried within 3n/2 pauses, and three, wherever it
// begins, with gaps between them and while new ones arrive.
func TestRotation(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a case to be had again
		var seqs []int64
		add := func() {
			last := int64(rnd.IntN(1000))
			if n := len(seqs); n > 0 {
				last = seqs[n-1]
			}
			seqs = append(seqs, last+1+int64(rnd.IntN(20)))
		}
		n := 1 + rnd.IntN(200)
		for range n {
			add()
		}
		waiting := make(map[int64]bool)
		for _, seq := range seqs {
			waiting[seq] = true
		}
		r := newRotation()
		for range 3*n/2 + 3 {
			for range laterProbes {
				delete(waiting, try(&r, seqs))
			}
			if rnd.IntN(2) == 0 {
				add()
			}
		}
		if len(waiting) > 0 {
			t.Fatalf("seed %d: %d of %d are not tried", seed, len(waiting), n)
		}
	}
}

// try returns what a probe tries: the first from there on, or the first of all.
func try(r *rotation, seqs []int64) int64 {
	from, sweeps := r.next(seqs[0], seqs[len(seqs)-1])
	found := seqs[0]
	for _, seq := range seqs {
		if seq >= from {
			found = seq
			break
		}
	}
	if sweeps {
		r.swept = found
	}
	return found
}

// TestRotationReaches: a row of good entries behind many bad ones is found soon, and a
// new entry at once.
func TestRotationReaches(t *testing.T) {
	const n, good = 1 << 16, 1 << 12 // the last 4,096
	r := newRotation()
	r.newest = n
	for probes := 1; ; probes++ {
		if seq, _ := r.next(1, n); seq > n-good {
			break
		}
		if most := 4 * n / good; probes > most {
			t.Fatalf("not found by %d probes", most)
		}
	}
	for probes := 1; ; probes++ {
		if seq, _ := r.next(1, n+1); seq == n+1 {
			break
		}
		if probes == 3 {
			t.Fatal("what is new is not tried")
		}
	}
}
