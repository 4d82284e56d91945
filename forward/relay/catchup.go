package relay

import (
	"context"
	"database/sql"
	"time"
)

// Share is how much one call of [CatchUp] does at most; the zero value is all that
// there is to do.
type Share struct {
	// Steps is how many batches are begun.
	Steps int
	// Time is after how long none is begun any more.
	Time time.Duration
}

// quota is what is left of a share.
type quota struct {
	Share
	clock Clock
	since time.Time
	steps int
}

// next reports whether another step may begin, and counts it.
func (q *quota) next() bool {
	if q.Steps > 0 && q.steps >= q.Steps || q.Time > 0 && q.clock.Now().Sub(q.since) >= q.Time {
		return false
	}
	q.steps++
	return true
}

// CatchUp delivers what is left behind in the caller's goroutine, over db, for which
// one connection is enough, and reports whether its share has left something. Targets
// that come later get what those before them have left of it. Where nothing is left
// behind, or another process has the lease, it writes nothing.
func CatchUp(ctx context.Context, s *Store, db *sql.DB, cfg Config, share Share) (left bool, err error) {
	r := newRelay(s, db, cfg)
	r.share = len(r.workers)
	r.beat = time.Now() // it comes and goes
	q := &quota{Share: share, clock: r.cfg.Clock, since: r.cfg.Clock.Now()}
	for _, w := range r.workers {
		more, err := w.catchUp(ctx, q)
		if err != nil {
			return left, err
		}
		left = left || more
	}
	return left, nil
}

// catchUp steps until there is nothing more to do, or q is used up.
func (w *worker) catchUp(ctx context.Context, q *quota) (left bool, err error) {
	s, now := w.relay.store, w.relay.cfg.Clock.Now()
	bound := "e.recorded_at <= " + s.time(now.Add(-w.target.Grace))
	if left, err = s.left(ctx, w.relay.db, w.target.Name, bound); err != nil {
		return false, err
	}
	if !left {
		if w.dueAt, err = s.nextDue(ctx, w.relay.db, w.target.Name); err != nil || w.dueAt.IsZero() || w.dueAt.After(now) {
			return false, err
		}
	}
	if !q.next() {
		return true, nil
	}
	defer w.end(ctx)
	for {
		if left, err = w.step(ctx); err != nil || !left {
			return false, err
		}
		if !q.next() {
			return true, nil
		}
	}
}
