package relay

import (
	"time"

	"github.com/go-aftercommit/aftercommit/internal/backoff"
)

// A lane that is suspended is tried again after firstPause, then with a backoff up to
// lastPause.
const (
	firstPause = time.Second
	lastPause  = time.Minute
)

// pause is a time without calls, which grows as long as it is followed by another.
type pause struct {
	n      int // how many follow each other
	length time.Duration
	until  time.Time
}

func (p *pause) begin(now time.Time) {
	p.n++
	p.length = backoff.After(p.n, firstPause, lastPause)
	p.until = now.Add(p.length)
}

// wait returns how much is left of it.
func (p *pause) wait(now time.Time) time.Duration { return max(0, p.until.Sub(now)) }

// lane is one of the two sources of entries: those that follow the cursor, and those
// that are due to be tried again. Each has its own plan and pauses, so that a bad entry
// that is due does not keep new ones waiting.
//
// One worker uses it, and what suspends it is evidence: see [evidence]. The breaker of sync
// forwarders in package forward counts only calls that do not return, from which alone a
// commit must be protected.
type lane struct {
	plan  plan
	known documents // of what is due, while the plan lasts
	open  bool      // suspended: a circuit breaker that is open
	pause pause
}

// wait returns how long not to call; zero if it may be tried.
func (l *lane) wait(now time.Time) time.Duration {
	if !l.open {
		return 0
	}
	return l.pause.wait(now)
}

// suspend begins the next pause.
func (l *lane) suspend(now time.Time) {
	l.open = true
	l.plan = plan{}
	l.pause.begin(now)
}

// limit is how many entries to deliver now: one where the sink may be down.
func (l *lane) limit(most int) int {
	if l.open {
		return 1
	}
	return l.plan.size(most)
}

// resume ends a suspension.
func (l *lane) resume() { l.open, l.pause = false, pause{} }
