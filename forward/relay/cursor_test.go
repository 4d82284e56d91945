package relay

import (
	"slices"
	"testing"
)

// TestBehindWithinATick: what a cursor has passed within its tick is not behind it any
// more, so that no probe delivers it again.
func TestBehindWithinATick(t *testing.T) {
	c := &cursor{done: "3"}
	if got := (sqlite{}).behind(c); !slices.Equal(got, []string{"true AND e.seq > 3"}) {
		t.Errorf("between ticks: %q", got)
	}
	c.tick = "12"
	c.moved(spot{number: 9, ordinal: 4}, false)
	if got := (sqlite{}).behind(c); !slices.Equal(got, []string{"true AND e.seq >= 9"}) {
		t.Errorf("within a row: %q", got)
	}
	c.moved(spot{number: 9, ordinal: rowEnd}, false)
	if got := (sqlite{}).behind(c); !slices.Equal(got, []string{"true AND e.seq > 9"}) {
		t.Errorf("within a tick: %q", got)
	}
	c.moved(spot{}, true)
	if got := (sqlite{}).behind(c); !slices.Equal(got, []string{"true AND e.seq > 12"}) {
		t.Errorf("after it: %q", got)
	}
}
