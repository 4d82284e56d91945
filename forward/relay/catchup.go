package relay

import (
	"context"
	"database/sql"
	"time"
)

// Share limits the work of one call of [CatchUp]; the zero value sets no limit.
type Share struct {
	// Steps is how many batches it may begin.
	Steps int
	// Time is for how long it may begin batches.
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

// CatchUp delivers what the targets have not got yet, in the caller's goroutine and over
// db, for which one connection is enough. The share is for all targets together, in
// their order; left reports that it was used up before they had everything. Where
// nothing is behind, or another process has the lease, CatchUp writes nothing.
func CatchUp(ctx context.Context, s *Store, db *sql.DB, cfg Config, share Share) (left bool, err error) {
	if err := cfg.check(s, db); err != nil {
		return false, err
	}
	r := newRelay(s, db, cfg)
	r.silent = true // it is gone before others would share with it
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
	behind, err := w.store().isBehind(ctx, w.relay.db, w.target.Name, bound)
	if err != nil {
		return false, err
	}
	if !behind {
		if w.dueAt, err = w.store().nextDue(ctx, w.relay.db, w.target.Name); err != nil || w.dueAt.IsZero() || w.dueAt.After(now) {
			return false, err
		}
	}
	if !q.next() {
		return true, nil
	}
	w.evidence = w.relay.cfg.Memory.take(w.target.Name)
	defer func() { w.relay.cfg.Memory.keep(w.target.Name, w.evidence) }()
	w.doubted = w.relay.cfg.Memory.doubt(w.target.Name)
	defer func() { w.relay.cfg.Memory.keepDoubt(w.target.Name, w.doubted) }()
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
