package relay

import (
	"slices"
	"testing"
)

// TestBehindWithinATick: what a cursor has passed within its tick is not behind it any
// more, so that no probe delivers it again.
func TestBehindWithinATick(t *testing.T) {
	c := &cursor{done: "3"}
	if got := (sqlite{}).behind(c); !slices.Equal(got, []string{"e.seq > 3"}) {
		t.Errorf("between ticks: %q", got)
	}
	c.tick, c.high, c.seq = "12", 12, 3
	c.moved(9, false)
	if got := (sqlite{}).behind(c); !slices.Equal(got, []string{"e.seq > 9"}) {
		t.Errorf("within a tick: %q", got)
	}
	c.moved(12, true)
	if got := (sqlite{}).behind(c); !slices.Equal(got, []string{"e.seq > 12"}) {
		t.Errorf("after it: %q", got)
	}
}
