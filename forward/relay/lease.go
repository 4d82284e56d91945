package relay

import (
	"context"
	"errors"
	"sync"
	"time"
)

// lease is a forwarder's lease, as the process knows it that has it. Its worker
// and the renewer share it.
type lease struct {
	name  string
	fence int64
	rouse func() // wakes its worker

	mu    sync.Mutex
	until time.Time // when it runs out unless it is extended, by this process's clock
	// since is when the worker last showed progress. calling says that it waits
	// for a sink, which may take its time.
	since   time.Time
	calling bool
	lost    error                   // why it is over
	cancel  context.CancelCauseFunc // of the step that runs, nil between steps
}

var errRanOut = errors.New("relay: the lease ran out: it could not be renewed in time")

// guard returns a context for one step, which ends when the lease does.
func (l *lease) guard(ctx context.Context) (guarded context.Context, done func()) {
	guarded, cancel := context.WithCancelCause(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cancel, l.since = cancel, time.Now()
	if l.lost != nil {
		cancel(l.lost)
	}
	return guarded, func() {
		l.mu.Lock()
		l.cancel = nil
		l.mu.Unlock()
		cancel(nil)
	}
}

// lose ends the lease, and the step that runs.
func (l *lease) lose(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = why
	if l.cancel != nil {
		l.cancel(why)
	}
}

// over returns why the lease is over, nil if it is not.
func (l *lease) over() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

func (l *lease) extended(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = until
}

func (l *lease) runsOut() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until
}

func (l *lease) ranOut(now time.Time) bool { return !now.Before(l.runsOut()) }

// inCall notes that the worker waits for a sink, or does not any more.
func (l *lease) inCall(calling bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calling, l.since = calling, time.Now()
}

// stuck reports whether the worker has waited for the database for so long that
// its connection must be dead: another process may have a better one.
func (l *lease) stuck(now time.Time, ttl time.Duration) bool {
	const stuckAfter = 6 // leases
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cancel != nil && !l.calling && now.Sub(l.since) > stuckAfter*ttl
}

// drop forgets the lease, and counts one less for this process.
func (w *worker) drop() {
	if w.lease != nil {
		w.relay.removeLease()
		w.unpin()
	}
	w.clearLease()
}

// extra reports whether the lease is pinned, and was not on offer: no other process took it.
func (w *worker) extra() bool { return !w.pinned.IsZero() && !w.offered }

// unpin makes the lease as likely to be given up as others.
func (w *worker) unpin() {
	if w.extra() {
		w.relay.clearExtra()
	}
	w.pinned = time.Time{}
}

// clearLease is drop without the count.
func (w *worker) clearLease() {
	if w.lease != nil {
		w.relay.renewer.remove(w.lease)
	}
	w.lease, w.cursor, w.trail, w.window, w.again.known = nil, nil, trail{}, window{}, nil
	w.gaps = gaps{pause: w.gaps.pause}
}

// hold keeps the lease, or takes it if it is free. Above its share a process takes one that
// others may have only after it has been free for a lease, or if it is on offer.
func (w *worker) hold(ctx context.Context) error {
	r := w.relay
	if err := r.heartbeat(ctx, w.conn); err != nil {
		return err
	}
	if w.lease != nil && w.lease.over() != nil {
		w.drop()
	}
	if w.absent.After(r.cfg.Clock.Now()) && r.hasOthers(w.target.Name) {
		return w.offer(ctx)
	}
	if w.lease != nil {
		return w.keep(ctx)
	}
	st, err := r.store.leaseStatus(ctx, w.conn, w.target.Name, r.cfg.Holder, r.maxLease())
	if err == nil && st != nil {
		err = w.checkPlace(ctx, st)
	}
	above := !r.mayTake(w.target.Name)
	switch {
	case err != nil:
		return err
	case st == nil:
		w.freeSince = time.Time{}
		if registered, err := w.registerAgain(ctx); err != nil || !registered {
			return err
		}
		return w.hold(ctx)
	case !st.free && !w.doubt(st):
		w.freeSince, w.row.missing = time.Time{}, false
		w.warnRetired(false)
		return nil
	case above && !st.offered:
		if w.freeSince.IsZero() {
			w.freeSince = r.cfg.Clock.Now()
		}
		if r.cfg.Clock.Now().Sub(w.freeSince) < freeFor*r.cfg.Lease {
			return nil // a process with fewer may take it
		}
	}
	return w.take(ctx, above, st.offered)
}

// freeFor is for how many leases one has been free that a process takes above its share. By
// then each process with fewer has looked.
const freeFor = 1

// checkPlace returns an error if the cursor is not of this place. While another process
// has the lease, the connections of this one are taken to lead where they did before.
func (w *worker) checkPlace(ctx context.Context, st *leaseStatus) (err error) {
	if st.free || st.tooFarAhead || w.here == "" {
		if w.here, err = w.relay.store.place(ctx, w.conn); err != nil {
			return err
		}
	}
	if st.place != w.here {
		return &PlaceError{Forwarder: w.target.Name, Was: st.place, Is: w.here}
	}
	return nil
}

// take takes the lease, if its cursor is still of this place.
func (w *worker) take(ctx context.Context, above, offered bool) error {
	r := w.relay
	start := time.Now()
	ttl := w.ttl()
	c, err := r.store.acquire(ctx, w.conn, w.target.Name, r.cfg.Holder, w.here, ttl, w.doubted)
	if err != nil {
		return err
	}
	w.doubted = nil
	if c == nil {
		r.invalidateMembers()
		return nil
	}
	if w.offered = offered; above || offered {
		const leases = 10 // by then a process with fewer may have started
		w.pinned = r.cfg.Clock.Now().Add(leases * r.cfg.Lease)
	}
	r.addLease(w.extra())
	if c.fence != w.fence+1 {
		w.ahead = nil // another process, or an operator, has moved the cursor
	}
	w.cursor, w.fence, w.since, w.asked, w.freeSince = c, c.fence, start, start, time.Time{}
	w.lease = &lease{name: c.name, fence: c.fence, until: start.Add(ttl), rouse: w.rouse}
	w.alert.Store(true)
	r.renewer.add(w.lease)
	if w.hasEarlier, err = r.store.hasEarlier(ctx, w.conn); err != nil {
		return err
	}
	return w.readDue(ctx)
}

// keep gives up a lease that is above this process's share. Otherwise, three times in
// each lease and if the poller has found something, it reads what is due and renews the
// lease if the renewer does not.
func (w *worker) keep(ctx context.Context) error {
	r := w.relay
	pinned := !w.pinned.IsZero()
	switch {
	case pinned && !r.cfg.Clock.Now().Before(w.pinned):
		w.unpin()
	case !pinned && r.releaseExcess(w.target.Name):
		w.clearLease()
		if w.offered { // the process that has fewer may be the one that could not deliver
			w.absent = r.cfg.Clock.Now().Add(firstPause)
			return r.store.offer(ctx, w.conn, w.target.Name, r.cfg.Holder)
		}
		return r.store.release(ctx, w.conn, w.target.Name, r.cfg.Holder)
	}
	if !w.news.Swap(false) && time.Since(w.asked) < r.cfg.Lease/renewals {
		return nil
	}
	w.asked = time.Now()
	if !r.renewer.works() {
		if err := w.renew(ctx); err != nil {
			return err
		}
	}
	return w.readDue(ctx) // an operator may have asked for a replay
}

// ttl is how long the lease is to last from now: long enough for a call, where the
// renewer does not renew it meanwhile.
func (w *worker) ttl() time.Duration {
	if w.relay.renewer.works() {
		return w.relay.cfg.Lease
	}
	return w.relay.cfg.Lease + w.target.timeout()
}

// renew renews the lease over the worker's own connection.
func (w *worker) renew(ctx context.Context) error {
	start, ttl := time.Now(), w.ttl()
	if err := w.relay.store.renew(ctx, w.conn, w.cursor, ttl); err != nil {
		return err
	}
	w.lease.extended(start.Add(ttl))
	return nil
}

// extend makes the lease last for another call of the sink, where the renewer does
// not see to that. It is called outside transactions, so that others see it.
func (w *worker) extend(ctx context.Context) error {
	if w.relay.renewer.works() || time.Until(w.lease.runsOut()) > w.target.timeout()+w.relay.cfg.Lease/renewals {
		return nil
	}
	return w.renew(ctx)
}

// inTx runs f in a transaction over the worker's connection. The server ends it
// before others may take the lease, if the process is frozen in it.
func (w *worker) inTx(ctx context.Context, f func() error) error {
	return w.relay.store.inTx(ctx, w.conn, max(w.relay.cfg.Lease/2, time.Second), f)
}

// begin starts the transaction of a delivery, in which the sink may be idle for as long
// as a call may take.
func (w *worker) begin(ctx context.Context) error {
	_, err := w.conn.ExecContext(ctx, w.relay.store.d.begin(w.target.timeout()+time.Second))
	return err
}

// offer leaves the lease to other processes, if this worker has it: their sinks, or their
// ways to it, may work. Each takes it by turns, after its own pause.
func (w *worker) offer(ctx context.Context) error {
	if w.lease == nil {
		return nil
	}
	w.drop()
	return w.relay.store.offer(ctx, w.conn, w.target.Name, w.relay.cfg.Holder)
}

// stayAway notes that this worker could not deliver, so that another process may. A lane whose
// entries are only tried again keeps it away for a moment: new entries must not wait for its
// pause.
func (w *worker) stayAway(l *lane, now time.Time) {
	w.absent = now.Add(firstPause)
	if l == &w.fresh {
		w.absent = l.pause.until
	}
}
