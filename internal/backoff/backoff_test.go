package backoff

import (
	"math"
	"testing"
	"time"
)

func TestAfter(t *testing.T) {
	const first, most = time.Second, time.Minute
	for n, want := range []time.Duration{0, 1, 2, 4, 8, 16, 32, 60, 60} {
		if got := After(n, first, most); got != want*time.Second {
			t.Errorf("after %d failures: %v, want %v", n, got, want*time.Second)
		}
	}
	for _, n := range []int{-1, math.MinInt} {
		if got := After(n, first, most); got != 0 {
			t.Errorf("after %d failures: %v", n, got)
		}
	}
	if got := After(math.MaxInt, first, most); got != most {
		t.Errorf("after very many failures: %v", got)
	}
	if got := After(1, most, first); got != first {
		t.Errorf("the first pause is %v, longer than the longest", got)
	}
}
