package relay

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/backoff"
	"github.com/go-aftercommit/aftercommit/internal/ownlevel"
)

// lookout polls the database for all workers of a process that wait, with one statement, so
// that the cost does not grow with the number of forwarders. It looks for what has arrived for
// those that have their leases, about as often as Config.Poll says, and by heartbeats for
// leases that it may take. Workers execute nothing until there is something to do.
//
// A process without a lease keeps no connection between two looks.
type lookout struct {
	relay *Relay
	again chan struct{} // what to wait for has changed

	mu      sync.Mutex
	resting map[*worker]*vigil
}

// vigil is what the lookout looks for while a worker rests.
type vigil struct {
	expected expected
	since    time.Time     // when the last look was
	idle     time.Duration // from then to the next one
}

const firstIdle = 20 * time.Millisecond

func newLookout(r *Relay) *lookout {
	return &lookout{relay: r, again: make(chan struct{}, 1), resting: make(map[*worker]*vigil)}
}

// nudge has the lookout compute again when to look.
func (l *lookout) nudge() {
	select {
	case l.again <- struct{}{}:
	default:
	}
}

// watch begins to look for what a worker expects.
func (l *lookout) watch(w *worker, e expected, idle time.Duration) {
	l.mu.Lock()
	l.resting[w] = &vigil{expected: e, since: time.Now(), idle: l.limit(idle)}
	l.mu.Unlock()
	l.nudge()
}

func (l *lookout) limit(idle time.Duration) time.Duration {
	return min(max(idle, firstIdle), l.relay.cfg.Poll)
}

// forget ends watch.
func (l *lookout) forget(w *worker) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.resting, w)
}

// wakeAll wakes all workers: there may be something to do for any.
func (l *lookout) wakeAll() {
	for _, w := range l.relay.workers {
		w.news.Store(true)
		w.rouse()
	}
}

// run looks until the relay stops, and is the last to do anything.
func (l *lookout) run(ctx context.Context) {
	failures := 0
	for due := true; !l.relay.stops(); {
		err := l.look(ctx, due)
		if failures++; err == nil {
			failures = 0
		} else {
			l.wakeAll() // they find out, and report it
		}
		due = l.wait(ctx, backoff.After(failures, l.relay.cfg.Poll, l.relay.cfg.Lease/renewals))
	}
	l.relay.working.Wait()
	l.relay.leave(ctx)
}

// wait waits until the next look is due, at least least. It returns false if the time of that
// look has to be computed again.
func (l *lookout) wait(ctx context.Context, least time.Duration) (due bool) {
	now := time.Now()
	d := l.relay.untilBeat(now)
	l.mu.Lock()
	for _, v := range l.resting {
		d = min(d, v.since.Add(v.idle).Sub(now))
	}
	l.mu.Unlock()
	again := l.again
	if least > 0 {
		again = nil
	}
	timer := time.NewTimer(max(d, least))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-l.relay.stopping:
	case <-again:
		return false
	case <-timer.C:
	}
	return true
}

// look sends a heartbeat, if it is time, and looks for what has arrived, if a look is due.
func (l *lookout) look(ctx context.Context, due bool) (err error) {
	r := l.relay
	var all map[*worker]*vigil
	if due {
		l.mu.Lock()
		all = maps.Clone(l.resting)
		l.mu.Unlock()
	}
	if len(all) == 0 && r.untilBeat(time.Now()) > 0 {
		return nil
	}
	if !r.lender.enter(ctx, r.stopping) {
		return nil
	}
	defer r.lender.leave()
	ctx, cancel := context.WithTimeout(ctx, max(r.cfg.Lease/renewals, time.Second))
	defer cancel()
	if len(all) == 0 && r.standsBy() {
		if changed, err := l.beatOnce(ctx); err != nil || !changed {
			return err
		}
		return l.over(ctx, Nothing, r.meet)
	}
	return l.over(ctx, Nothing, func(ctx context.Context, q querier) error {
		if err := r.heartbeat(ctx, q); err != nil || len(all) == 0 {
			return err
		}
		arrived, err := r.store.anyArrived(ctx, q, all)
		if err == nil {
			l.looked(all, arrived)
		}
		return err
	})
}

// over calls f with a connection, on which it leaves something behind.
func (l *lookout) over(ctx context.Context, left Left, f func(context.Context, querier) error) (err error) {
	conn, err := l.relay.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { l.relay.giveBack(conn, left, err) }()
	if err = l.relay.unaudited(ctx, conn); err == nil {
		err = f(ctx, conn)
	}
	return err
}

// beatOnce sends a heartbeat over a connection that is for nothing else.
func (l *lookout) beatOnce(ctx context.Context) (changed bool, err error) {
	err = l.over(ownlevel.With(ctx), Changed, func(ctx context.Context, q querier) (err error) {
		changed, err = l.relay.beat(ctx, q)
		return err
	})
	return changed, err
}

// looked wakes the workers of a look in which something has arrived; else the next one is
// later.
func (l *lookout) looked(all map[*worker]*vigil, arrived bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for w, v := range all {
		switch {
		case v != l.resting[w]: // it has worked meanwhile
		case arrived:
			delete(l.resting, w)
			w.news.Store(true)
			w.rouse()
		default:
			v.since, v.idle = time.Now(), l.limit(2*v.idle)
		}
	}
}
