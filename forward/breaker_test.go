package forward

import (
	"testing"
	"time"
)

// A call counts as left behind from when it is given up until it returns,
// whichever of its two goroutines comes first.
func TestTracked(t *testing.T) {
	tests := map[string]struct {
		steps []func(*tracked)
		left  []int32
	}{
		"returns":                  {[]func(*tracked){(*tracked).finish}, []int32{0}},
		"is given up, and returns": {[]func(*tracked){(*tracked).giveUp, (*tracked).finish}, []int32{1, 0}},
		"returns, and is given up": {[]func(*tracked){(*tracked).finish, (*tracked).giveUp}, []int32{0, 0}},
	}
	for name, test := range tests {
		b := &breaker{}
		call := b.track()
		for i, step := range test.steps {
			step(call)
			if got := b.left.Load(); got != test.left[i] {
				t.Errorf("%s: %d left after step %d, want %d", name, got, i, test.left[i])
			}
		}
	}
}

func TestNoCallWhileThreeHang(t *testing.T) {
	b, now := &breaker{}, time.Unix(0, 0)
	var calls []*tracked
	for range tolerated {
		call := b.track()
		call.giveUp()
		calls = append(calls, call)
		b.note(true, now)
	}
	now = now.Add(suspension)
	if b.allows(now) {
		t.Error("a fourth call is allowed while three hang")
	}
	calls[1].finish()
	if !b.allows(now) {
		t.Error("no call is allowed once one has returned")
	}
}
