package relay

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward/journal"
)

// inquire reads, with a new lease, in which calls its holders have died. An error leaves
// the lease to the next step.
func (w *worker) inquire(ctx context.Context) error {
	d, err := w.relay.store.deaths(ctx, w.conn, w.target.Name)
	if err != nil {
		return err
	}
	if w.abandoned {
		w.fresh.wary, w.again.wary = true, true
	}
	if w.abandoned || len(d.Alone) > 0 {
		w.evidence.left = 0 // it may be from before the death
	}
	if calling := d.Calling; len(calling) > 0 {
		if w.abandoned {
			d.inherit(w.relay.cfg.Clock.Now())
			d.plan()
			w.warnOfDeath(calling, &d)
		}
		d.Calling = nil
		if err = w.fenced(ctx, func() error { return w.relay.store.noteDeaths(ctx, w.conn, w.target.Name, &d) }); err != nil {
			return err
		}
	}
	w.deaths, w.abandoned, w.idle = d, false, false
	return nil
}

// warnOfDeath logs that a process has died in a call, perhaps because of it.
func (w *worker) warnOfDeath(calling []uuid.UUID, d *deaths) {
	fields := []zap.Field{zap.String("forwarder", w.target.Name), zap.Int("events", len(calling))}
	if len(calling) == 1 {
		fields = append(fields, zap.Stringer("event", calling[0]), zap.Int("deaths", d.Alone[calling[0]].Deaths))
	}
	w.relay.cfg.Log.Warn("aftercommit: a process died, or stood still for longer than its lease, in a call of a forwarder; if that happens again, its events come in smaller calls", fields...)
}

// errTurn ends a step without a call: another worker makes one in which the process may die.
var errTurn = errors.New("relay: another forwarder's turn")

// mark stores which entries a call is about to get, if it may be one in which a process
// dies, and reports whether it has. Then release must be called after it.
func (w *worker) mark(ctx context.Context, wary bool, entries []journal.Entry) (bool, error) {
	if !wary && !w.deaths.concerns(entries) {
		return false, nil
	}
	if !w.relay.marked.TryLock() {
		return false, errTurn
	}
	w.deaths.Calling = make([]uuid.UUID, len(entries))
	for i := range entries {
		w.deaths.Calling[i] = entries[i].ID
	}
	err := w.fenced(ctx, func() error { return w.relay.store.noteDeaths(ctx, w.conn, w.target.Name, &w.deaths) })
	if err != nil {
		w.release(true)
	}
	return err == nil, err
}

// release lets others make calls that are marked.
func (w *worker) release(marked bool) {
	if marked {
		w.relay.marked.Unlock()
	}
}

// unmark notes that a call has come back, in the transaction that is open if there is one.
func (w *worker) unmark(ctx context.Context, entries []journal.Entry, r *Result, inTx bool) error {
	d := &w.deaths
	d.Calling = nil
	if n := len(entries); n == 1 || !r.doubtful(n) {
		for i := range entries {
			d.clear(entries[i].ID)
			delete(d.Alone, entries[i].ID)
		}
	}
	note := func() error { return w.relay.store.noteDeaths(ctx, w.conn, w.target.Name, d) }
	if inTx {
		return note()
	}
	return w.fenced(ctx, note)
}

// fatal are the IDs of entries that no probe may have.
func (w *worker) fatal() (ids []uuid.UUID) {
	for id := range w.deaths.Alone {
		ids = append(ids, id)
	}
	return ids
}
