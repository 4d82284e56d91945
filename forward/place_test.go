package forward

import (
	"testing"
	"time"
)

// TestPauseElsewhere: jobs of another place are tried again after a minute, and so that those
// of this place get on beside any number of them.
func TestPauseElsewhere(t *testing.T) {
	var p places
	now := time.Now()
	const jobs = 10_000
	last := time.Duration(0)
	for i := range jobs {
		pause := p.pause(now)
		if i == 0 && pause != elsewherePause || i > 0 && pause != last+elsewhereStep {
			t.Fatalf("job %d waits %v, the one before %v", i, pause, last)
		}
		last = pause
	}
	if pause := p.pause(now.Add(time.Hour)); pause != elsewherePause {
		t.Errorf("later one waits %v", pause)
	}
}
