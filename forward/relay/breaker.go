package relay

import (
	"time"

	"github.com/google/uuid"
)

// A suspended target is tried again after a second, then after twice the time,
// up to a minute.
const (
	firstPause = time.Second
	lastPause  = time.Minute
	// suspects is how many entries that failed alone, one after the other with
	// none taken between, are the sink's fault rather than theirs.
	suspects = 3
)

// breaker keeps a target that takes nothing from being called all the time.
type breaker struct {
	open  bool
	pause time.Duration
	until time.Time
	// charged are the entries that failed alone since one was taken, and how
	// many attempts were counted against them.
	charged map[uuid.UUID]int
}

// wait returns how long not to call; zero if it may be tried.
func (b *breaker) wait(now time.Time) time.Duration {
	if !b.open {
		return 0
	}
	return max(0, b.until.Sub(now))
}

func (b *breaker) trip(now time.Time) time.Duration {
	b.open = true
	b.pause = min(max(2*b.pause, firstPause), lastPause)
	b.until = now.Add(b.pause)
	return b.pause
}

// close reports whether it was open.
func (b *breaker) close() bool {
	was := b.open
	*b = breaker{}
	return was
}

// single judges an entry that failed alone. The first few times it is the
// entry's fault; when several in a row fail so, it was the sink's, and the
// attempts are taken back.
func (w *worker) single(id uuid.UUID, r Result) outcome {
	b := &w.breaker
	if b.open {
		return outcome{down: true}
	}
	if _, ok := b.charged[id]; ok || len(b.charged) < suspects-1 {
		if b.charged == nil {
			b.charged = make(map[uuid.UUID]int)
		}
		b.charged[id]++
		return outcome{failed: map[uuid.UUID]Failure{id: *r.Err}}
	}
	return outcome{down: true}
}
