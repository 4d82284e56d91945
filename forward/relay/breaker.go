package relay

import "time"

// A lane that is suspended is tried again after a second, then after twice the time,
// up to a minute.
const (
	firstPause = time.Second
	lastPause  = time.Minute
)

// lane is one of the two sources of entries, those that follow the cursor and those
// that are due again: what each may call, and when. A bad entry that is due does not
// keep new ones waiting.
type lane struct {
	plan  plan
	open  bool
	pause time.Duration
	until time.Time
}

// wait returns how long not to call; zero if it may be tried.
func (l *lane) wait(now time.Time) time.Duration {
	if !l.open {
		return 0
	}
	return max(0, l.until.Sub(now))
}

// suspend makes the next pause.
func (l *lane) suspend(now time.Time) {
	l.open = true
	l.plan = plan{}
	l.pause = min(max(2*l.pause, firstPause), lastPause)
	l.until = now.Add(l.pause)
}

// limit is how many entries to deliver now: one where the sink may be down.
func (l *lane) limit(most int) int {
	if l.open {
		return 1
	}
	return l.plan.size(most)
}

// resume ends a suspension.
func (l *lane) resume() { l.open, l.pause, l.until = false, 0, time.Time{} }
