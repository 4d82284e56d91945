package relay

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/backoff"
	"github.com/go-aftercommit/aftercommit/internal/ownlevel"
)

// poller polls the database for all workers of a process that wait, with one statement, so
// that the cost does not grow with the number of forwarders. It looks for what has arrived for
// those that have their leases, about as often as Config.Poll says, and by heartbeats for
// leases that it may take. Workers execute nothing until there is something to do.
//
// A process without a lease keeps no connection between two looks.
type poller struct {
	relay   *Relay
	changed chan struct{} // when to look next has to be computed again

	mu      sync.Mutex
	watched map[*worker]*watch
}

// watch is what the poller looks for while a worker rests, and when.
type watch struct {
	expected expected
	since    time.Time     // when the last look was
	idle     time.Duration // from then to the next one
}

const firstIdle = 20 * time.Millisecond

func newPoller(r *Relay) *poller {
	return &poller{relay: r, changed: make(chan struct{}, 1), watched: make(map[*worker]*watch)}
}

// reschedule has the poller compute again when to look. It follows each change that makes a
// heartbeat due sooner.
func (p *poller) reschedule() {
	if p == nil { // of a single step
		return
	}
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// add begins to look for what a worker expects.
func (p *poller) add(w *worker, e expected, idle time.Duration) {
	p.mu.Lock()
	p.watched[w] = &watch{expected: e, since: time.Now(), idle: p.limit(idle)}
	p.mu.Unlock()
	p.reschedule()
}

func (p *poller) limit(idle time.Duration) time.Duration {
	return min(max(idle, firstIdle), p.relay.cfg.Poll)
}

// remove ends what add began.
func (p *poller) remove(w *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.watched, w)
}

// wakeAll wakes all workers: there may be something to do for any.
func (p *poller) wakeAll() {
	for _, w := range p.relay.workers {
		w.news.Store(true)
		w.rouse()
	}
}

// run looks until the relay stops, and is the last to do anything.
func (p *poller) run(ctx context.Context) {
	failures := 0
	for due := true; !p.relay.stops(); {
		err := p.look(ctx, due)
		if failures++; err == nil {
			failures = 0
		} else {
			p.wakeAll() // they find out, and report it
		}
		due = p.wait(ctx, backoff.After(failures, p.relay.cfg.Poll, p.relay.cfg.Lease/renewals))
	}
	p.relay.working.Wait()
	p.relay.unregister(ctx)
}

// wait waits for the next look, and not less than least. It returns false if the time of that
// look has to be computed again.
func (p *poller) wait(ctx context.Context, least time.Duration) (due bool) {
	now := time.Now()
	d := p.relay.untilHeartbeat(now)
	p.mu.Lock()
	for _, v := range p.watched {
		d = min(d, v.since.Add(v.idle).Sub(now))
	}
	p.mu.Unlock()
	changed := p.changed
	if least > 0 {
		changed = nil
	}
	timer := time.NewTimer(max(d, least))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-p.relay.stopping:
	case <-changed:
		return false
	case <-timer.C:
	}
	return true
}

// look sends a heartbeat, if it is time, and looks for what has arrived, if a look is due.
func (p *poller) look(ctx context.Context, due bool) (err error) {
	r := p.relay
	var all map[*worker]*watch
	if due {
		p.mu.Lock()
		all = maps.Clone(p.watched)
		p.mu.Unlock()
	}
	if len(all) == 0 && r.untilHeartbeat(time.Now()) > 0 {
		return nil
	}
	if !r.lender.acquire(ctx, r.stopping) {
		return nil
	}
	defer r.lender.release()
	ctx, cancel := context.WithTimeout(ctx, max(r.cfg.Lease/renewals, time.Second))
	defer cancel()
	if len(all) == 0 && r.standsBy() {
		if changed, err := p.heartbeatAlone(ctx); err != nil || !changed {
			return err
		}
		return p.withConn(ctx, NothingLeft, r.refreshMembers)
	}
	return p.withConn(ctx, NothingLeft, func(ctx context.Context, q querier) error {
		if err := r.heartbeat(ctx, q); err != nil || len(all) == 0 {
			return err
		}
		arrived, err := anyArrived(ctx, q, all)
		if err == nil {
			p.looked(all, arrived)
		}
		return err
	})
}

// withConn calls f with a connection of the pool, and gives it back as one on which left was
// left behind.
func (p *poller) withConn(ctx context.Context, left Leftover, f func(context.Context, querier) error) (err error) {
	conn, err := p.relay.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { p.relay.giveBack(conn, left, err) }()
	if err = p.relay.unaudited(ctx, conn); err == nil {
		err = f(ctx, conn)
	}
	return err
}

// heartbeatAlone sends a heartbeat over a connection that is for nothing else.
func (p *poller) heartbeatAlone(ctx context.Context) (changed bool, err error) {
	err = p.withConn(ownlevel.With(ctx), SessionChanged, func(ctx context.Context, q querier) (err error) {
		changed, err = p.relay.sendHeartbeat(ctx, q)
		return err
	})
	return changed, err
}

// looked wakes the workers of a look in which something has arrived. Otherwise it puts their
// next look off.
func (p *poller) looked(all map[*worker]*watch, arrived bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w, v := range all {
		switch {
		case v != p.watched[w]: // it has worked meanwhile
		case arrived:
			delete(p.watched, w)
			w.news.Store(true)
			w.rouse()
		default:
			v.since, v.idle = time.Now(), p.limit(2*v.idle)
		}
	}
}
