package relay

import (
	"context"
	"time"
)

// wait waits for d, or until there is something to do, and reports false if it
// was woken.
func (w *worker) wait(ctx context.Context, d time.Duration) bool {
	clock := w.relay.cfg.Clock
	d = min(d, w.relay.cfg.Lease/3)
	if wait := w.fresh.wait(clock.Now()); wait > 0 {
		d = max(d, min(wait, w.relay.cfg.Poll))
	}
	select {
	case <-ctx.Done():
	case <-w.relay.stopping:
	case <-w.wake:
		return false
	case <-clock.After(d):
	}
	return true
}

// waitPolled waits until there is something to do, and reports whether the worker was woken.
// After an error it waits for idle. Without one the poller looks for what arrives, first after idle,
// and the worker waits for what it knows the time of.
func (w *worker) waitPolled(ctx context.Context, idle time.Duration, err error) (woken bool) {
	d, timed := idle, true
	if err == nil {
		d, timed = w.untilNext(w.relay.cfg.Clock.Now())
		if w.lease != nil {
			w.relay.poller.add(w, w.expects(), idle)
			defer w.relay.poller.remove(w)
		}
	}
	var timer <-chan time.Time
	if timed {
		timer = w.relay.cfg.Clock.After(max(0, d))
	}
	select {
	case <-ctx.Done():
	case <-w.relay.stopping:
	case <-w.wake:
		return true
	case <-timer:
	}
	return false
}

// ownLook is after how many leases a worker looks by itself: whatever the poller may miss
// waits no longer than this.
const ownLook = 3

// expects returns what the poller is to look for.
func (w *worker) expects() expected {
	now := w.relay.cfg.Clock.Now()
	entries := w.target.Grace == 0 && w.fresh.wait(now) == 0 && w.unwritten.wait(now) == 0
	return expected{cursor: *w.cursor, entries: entries, before: w.dueAt}
}

// untilNext returns how long it is until there is something to do that nothing else shows, and
// false if there is no such thing.
func (w *worker) untilNext(now time.Time) (d time.Duration, timed bool) {
	at := func(wait time.Duration) {
		if !timed || wait < d {
			d, timed = wait, true
		}
	}
	r := w.relay
	if w.lease == nil {
		switch { // as in hold
		case w.absent.After(now):
			at(w.absent.Sub(now))
		case !w.freeSince.IsZero():
			at(w.freeSince.Add(freeFor * r.cfg.Lease).Sub(now))
		case w.doubted != nil:
			at(w.doubted.since.Add(w.doubtsFor()).Sub(now))
		}
		if w.row.missing {
			at(r.cfg.Lease / rowLooks)
		}
		return d, timed
	}
	if r.renewer.works() {
		at(ownLook * r.cfg.Lease)
	} else {
		at(r.cfg.Lease / renewals)
	}
	if wait := max(w.fresh.wait(now), w.unwritten.wait(now)); wait > 0 {
		at(wait)
	}
	if !w.dueAt.IsZero() {
		at(max(w.dueAt.Sub(now), w.again.wait(now), w.unwritten.wait(now)))
	}
	trails := time.Duration(0)
	if w.target.Grace > 0 {
		trails = w.trail.wait(now, w.target.Grace)
		at(trails)
	}
	if w.target.RecordGaps != nil && !w.gaps.none() {
		at(w.gapsWait(now))
	}
	if w.hasEarlier {
		at(max(w.tookOver.Add(takeOverEvery).Sub(now), trails))
	}
	return d, timed
}

// rouse wakes the worker.
func (w *worker) rouse() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
