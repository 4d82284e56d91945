package relay

import (
	"fmt"
	"math/bits"
	"testing"
	"time"
)

const timeout = 5 * time.Second // of a call that hangs

// perform carries a plan out on n entries, of which some are bad or hang, where any other
// call takes some time. It returns the calls, and those that hang.
func perform(n, limit int, bad map[int]bool, hang bool, perCall time.Duration) (calls, hung int, got []int) {
	var p plan
	for next := 0; next < n; {
		size := min(p.size(limit), n-next)
		calls++
		fails := 0
		for i := next; i < next+size; i++ {
			if bad[i] {
				fails++
			}
		}
		if fails > 0 && hang {
			hung++
		}
		if fails > 0 && size > 1 {
			p.failed(size, timeout, hang)
			continue
		}
		worked := time.Duration(0)
		if fails == 0 {
			worked = perCall
			for i := next; i < next+size; i++ {
				got = append(got, i)
			}
		}
		next += size
		p.passed(size, worked)
	}
	return calls, hung, got
}

// TestPlan: all good entries are delivered, in order and once, and a bad one costs
// about two calls for each halving.
func TestPlan(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 64, 500} {
		for _, bad := range [][]int{{}, {0}, {n - 1}, {n / 2}, {0, n - 1}, {0, 1, 2}, {n / 3, n / 2}} {
			isBad := make(map[int]bool)
			for _, i := range bad {
				isBad[min(i, n-1)] = true
			}
			calls, _, got := perform(n, n, isBad, false, 0)
			what := fmt.Sprintf("%d entries, bad %v", n, bad)
			if len(got) != n-len(isBad) {
				t.Errorf("%s: %d were delivered", what, len(got))
			}
			for i := 1; i < len(got); i++ {
				if got[i] <= got[i-1] {
					t.Errorf("%s: %d after %d", what, got[i], got[i-1])
				}
			}
			if most := 2 + len(isBad)*2*(1+bits.Len(uint(n))); calls > most {
				t.Errorf("%s: %d calls, want at most %d", what, calls, most)
			}
		}
	}
}

// TestPlanHanging: an entry on which the sink hangs costs two timeouts, not one for each
// halving.
func TestPlanHanging(t *testing.T) {
	const n = 200
	calls, hung, got := perform(n, n, map[int]bool{150: true}, true, time.Millisecond)
	if hung != 2 || calls != n+1 || len(got) != n-1 {
		t.Errorf("%d of %d calls hung, and %d entries were delivered", hung, calls, len(got))
	}
}

// TestPlanSlow: where each call takes long, and a large one too long, parts become larger
// again, and what that costs is no more than what was worked.
func TestPlanSlow(t *testing.T) {
	const n, perCall = 500, time.Second
	for _, bad := range []map[int]bool{{}, {250: true}, {10: true, 90: true, 91: true, 300: true}} {
		var p plan
		p.failed(n, timeout, true)
		var worked, lost time.Duration
		for next := 0; next < n; {
			size := p.size(n)
			fails := 0
			for i := next; i < next+size; i++ {
				if bad[i] {
					fails++
				}
			}
			switch {
			case fails > 0 && size > 1:
				lost += timeout
				p.failed(size, timeout, true)
				continue
			case fails > 0:
				p.passed(size, 0)
			default:
				worked += perCall
				p.passed(size, perCall)
			}
			next += size
		}
		if most := time.Duration(1+len(bad)) * 50 * time.Second; worked > most || lost > worked {
			t.Errorf("%d bad: %v of work, want at most %v; %v lost by large calls", len(bad), worked, most, lost)
		}
	}
}

// TestPlanEnds: what was planned for entries that are not there is forgotten.
func TestPlanEnds(t *testing.T) {
	var p plan
	p.failed(100, 0, false)
	p.passed(1, 0)
	p.passed(20, 0) // of 50
	if got := p.size(500); got != 500 {
		t.Errorf("the next call gets %d, want 500", got)
	}
}
