package relay

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// takeOverEvery is how often a worker looks for what programs of an earlier version have
// written.
const takeOverEvery = time.Second

// takeOver moves what the target has yet to get from the tables of an earlier version, if there
// are any, and reports whether there may be more.
func (w *worker) takeOver(ctx context.Context) (more bool, err error) {
	s, now := w.relay.store, w.relay.cfg.Clock.Now()
	if !w.hasEarlier || now.Sub(w.tookOver) < takeOverEvery {
		return false, nil
	}
	trailing := ""
	if w.target.Grace > 0 {
		ok := false
		if trailing, ok, err = s.d.aged(ctx, w.conn, &w.trail, now, w.target.Grace); err != nil || !ok {
			return false, err
		}
	}
	n := 0
	owes, err := s.owesEarlier(ctx, w.conn, w.target.Name, w.here, trailing, w.relay.maxLease())
	if err != nil && w.swapped(ctx, err) {
		return false, nil
	}
	if err != nil || !owes {
		w.tookOver = now
		return false, wrap("look for what an earlier version has written", w.target.Name, err)
	}
	err = w.fenced(ctx, func() (e error) {
		n, e = s.takeOver(ctx, w.conn, w.target.Name, w.here, trailing, w.relay.maxLease(), DefaultBatch)
		return e
	})
	switch {
	case err != nil && w.swapped(ctx, err):
		return false, nil
	case hooks.SQLState(err) == lockNotAvailable: // by a purge, say: what is new does not wait for it
		w.tookOver = now
		return false, nil
	case hooks.SQLState(err) == "42501": // insufficient_privilege
		w.hasEarlier = false // until the lease is taken again
		w.relay.cfg.Log.Warn("aftercommit: events that programs of an earlier version wrote are not delivered, because the relay's role may not move them to the table journal: "+
			"run as its owner: GRANT INSERT ON "+s.events()+", "+s.prefix+"journal_purges TO <the relay's role>; GRANT ALL ON "+s.prefix+"forwarders, "+s.prefix+"failures, "+s.prefix+"settled TO <the relay's role>; then restart the relay",
			zap.String("forwarder", w.target.Name), zap.Error(err))
		return false, nil
	case err != nil:
		return false, wrap("take over what an earlier version has written", w.target.Name, err)
	case n == 0:
		w.tookOver = now
		return false, nil
	}
	w.dueAt = now
	return true, nil
}

// swapped reports whether err is that of a table that journal.Swap has renamed, or an operator
// dropped, since the lease was taken: then nothing was left in it.
func (w *worker) swapped(ctx context.Context, err error) bool {
	switch hooks.SQLState(err) {
	case "42703", "42P01": // undefined_column, as of the view, and undefined_table
		has, e := w.relay.store.hasEarlier(ctx, w.conn)
		w.hasEarlier = w.hasEarlier && (has || e != nil)
		return !w.hasEarlier
	}
	return false
}
