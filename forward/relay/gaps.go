package relay

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward/journal"
)

// Gap is a row change that a target has not got, and may never get.
type Gap struct {
	Position journal.Position
	// Reason is why, as in [Failed].
	Reason string
	// At is when it was first found, by the clock of the process that did.
	At time.Time
}

// gaps are those that the target has yet to record: first those in list, then those in the database. The zero value is for a process that
// has just got the lease: the one before may have died before the target had recorded all.
type gaps struct {
	list  []Gap     // found by this process
	after uuid.UUID // the target has recorded those in the database up to this key
	read  bool      // and it has recorded all of them
	pause pause     // after an error
}

// gapsPerCall is how many a target gets at a time.
const gapsPerCall = 500

// addGaps adds the row changes among verdicts.
func (w *worker) addGaps(verdicts []verdict) {
	if w.target.RecordGaps == nil {
		return
	}
	g, now := &w.gaps, w.relay.cfg.Clock.Now()
	for i := range verdicts {
		if v := &verdicts[i]; isChange(v.at.Key) {
			g.list = append(g.list, Gap{v.at, v.failure.Reason, now})
		}
	}
	if len(g.list) > 2*gapsPerCall { // the target has recorded none for a while: read them from the database, to bound the memory
		*g = gaps{pause: g.pause}
	}
}

// none reports whether the target has recorded all gaps.
func (g *gaps) none() bool { return g.read && len(g.list) == 0 }

// next returns the gaps that the target is to record next.
func (g *gaps) next(ctx context.Context, q querier, s *Store, forwarder string) (list []Gap, err error) {
	if len(g.list) > 0 {
		return g.list[:min(len(g.list), gapsPerCall)], nil
	}
	list, err = s.refusedChanges(ctx, q, forwarder, g.after, gapsPerCall)
	return list, wrap("read which row changes it lacks", forwarder, err)
}

// recorded notes that the target has recorded those that next has returned.
func (g *gaps) recorded(list []Gap) {
	switch n := len(list); {
	case len(g.list) > 0:
		g.list = g.list[n:]
	case n < gapsPerCall:
		g.read = true
	default:
		g.after = list[n-1].Position.Key
	}
	g.pause = pause{}
}

// recordGaps has the target record the next gaps, and reports whether there are more. If the target cannot, that holds up nothing else.
func (w *worker) recordGaps(ctx context.Context) (more bool, err error) {
	g, now := &w.gaps, w.relay.cfg.Clock.Now()
	if w.target.RecordGaps == nil || g.none() || w.gapsWait(now) > 0 {
		return false, nil
	}
	list, err := g.next(ctx, w.conn, w.relay.store, w.target.Name)
	if err != nil {
		return false, err
	}
	if len(list) > 0 {
		if err = w.extend(ctx); err != nil {
			w.lease.lose(err)
			return false, err
		}
		f, err := w.callGaps(ctx, list)
		if err != nil {
			return false, err
		}
		if f != nil {
			g.pause.begin(w.relay.cfg.Clock.Now())
			if w.warned.fresh(now, f.Err) {
				w.relay.cfg.Log.Warn("aftercommit: a forwarder could not record which row changes it lacks, and is called again",
					zap.String("forwarder", w.target.Name), zap.String("reason", f.Reason), zap.Error(f.Err))
			}
			return false, nil
		}
	}
	g.recorded(list)
	return !g.none(), nil
}

// gapsWait returns how long to wait before the target is called with gaps. One that accepts nothing is not called.
func (w *worker) gapsWait(now time.Time) time.Duration {
	return max(w.gaps.pause.wait(now), w.fresh.wait(now), w.unwritten.wait(now))
}

// callGaps makes one call. Like one with entries, it has a connection only while it needs one.
func (w *worker) callGaps(ctx context.Context, list []Gap) (*Failure, error) {
	w.lease.inCall(true)
	defer w.lease.inCall(false)
	w.disconnect(nil)
	r := w.relay.lender.Call(func(db *sql.DB) Result { return w.target.RecordGaps(ctx, db, list) })
	if r.Err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return r.Err, w.connect(ctx, nil)
}

// refusedChanges reads which row changes a forwarder has refused, or could not be given, in the order of their keys.
func (s *Store) refusedChanges(ctx context.Context, q querier, forwarder string, after uuid.UUID, limit int) (list []Gap, err error) {
	if after == uuid.Nil {
		after = leastChange
	}
	rows, err := q.QueryContext(ctx, "SELECT r.key, r.ordinal, "+s.d.read("r.reason")+", r.first_at FROM "+s.prefix+"retries r WHERE r.forwarder = "+s.quote(forwarder)+" AND r.key > "+s.d.uuid(after)+
		" AND (r.state = '"+stateDiscarded+"' OR r.attempts > 0) ORDER BY r.key, r.ordinal LIMIT "+itoa(int64(limit)))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var g Gap
		if err = rows.Scan(&g.Position.Key, &g.Position.Ordinal, s.d.scan(&g.Reason), moment{&g.At}); err != nil {
			return nil, err
		}
		list = append(list, g)
	}
	return list, rows.Err()
}
