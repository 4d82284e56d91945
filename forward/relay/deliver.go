package relay

import (
	"context"
	"database/sql"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// deliver makes an attempt at each of batch, writes what came of it together
// with what move writes, and tells. It reports false if the sink is down: then
// nothing has been written.
func (w *worker) deliver(ctx context.Context, batch []attempted, move func() error) (done bool, err error) {
	entries := make([]journal.Entry, len(batch))
	for i := range batch {
		entries[i] = batch[i].entry
	}
	start := time.Now()
	whole, clean, err := w.attempt(ctx, entries, move)
	if err != nil {
		return false, err
	}
	if clean {
		w.tellTaken(batch, nil, time.Since(start))
		w.recovered()
		return true, nil
	}
	var o outcome
	switch {
	case !whole.transient():
		o.failed = make(map[uuid.UUID]Failure)
		o.add(entries, whole)
	case len(entries) == 1:
		o = w.single(entries[0].ID, whole)
	default:
		o = isolate(entries, func(part []journal.Entry) Result { return w.call(ctx, part) })
	}
	if o.down {
		return false, w.trip(ctx, whole)
	}
	return true, w.write(ctx, batch, o, move, time.Since(start))
}

// attempt makes one call with all entries. If all were taken, what move writes
// is committed, where possible together with the delivery.
func (w *worker) attempt(ctx context.Context, entries []journal.Entry, move func() error) (r Result, clean bool, err error) {
	if len(entries) == 0 {
		return r, true, move()
	}
	if !w.target.SameDatabase {
		r = w.call(ctx, entries)
		if r.Err != nil || len(r.Failed) > 0 {
			return r, false, nil
		}
		return r, true, w.settled(ctx, entries, move)
	}
	if _, err = w.conn.ExecContext(ctx, w.relay.store.d.begin()); err != nil {
		return r, false, err
	}
	r = w.call(ctx, entries)
	if r.Hung {
		return r, false, nil // the connection is gone, and the transaction with it
	}
	if r.Err == nil && len(r.Failed) == 0 {
		if err = w.moveInTx(ctx, entries, move); err == nil {
			return r, true, nil
		}
	}
	if _, e := w.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); e != nil {
		discard(w.conn)
		if err == nil {
			err = e
		}
	}
	return r, false, err
}

func (w *worker) moveInTx(ctx context.Context, entries []journal.Entry, move func() error) error {
	if err := w.settleRetried(ctx, entries); err != nil {
		return err
	}
	if err := move(); err != nil {
		return err
	}
	_, err := w.conn.ExecContext(ctx, "COMMIT")
	return err
}

// settled writes that all entries were taken.
func (w *worker) settled(ctx context.Context, entries []journal.Entry, move func() error) error {
	if w.dueAt.IsZero() {
		return move() // there are no failures to remove
	}
	return w.relay.store.inTx(ctx, w.conn, func() error {
		if err := w.settleRetried(ctx, entries); err != nil {
			return err
		}
		return move()
	})
}

func (w *worker) settleRetried(ctx context.Context, entries []journal.Entry) error {
	if w.dueAt.IsZero() {
		return nil
	}
	ids := make([]uuid.UUID, len(entries))
	for i := range entries {
		ids[i] = entries[i].ID
	}
	return w.relay.store.settle(ctx, w.conn, w.target.Name, ids)
}

// call makes one call, outside any transaction or in the one that is open.
func (w *worker) call(ctx context.Context, entries []journal.Entry) (r Result) {
	err := Lend(w.conn, func(db *sql.DB) { r = w.target.Deliver(ctx, db, entries) })
	if r.Hung {
		discard(w.conn)
		_ = w.conn.Close()
		conn, e := w.relay.db.Conn(ctx)
		if e != nil {
			return Result{Err: &Failure{Reason: "error", Err: e}}
		}
		w.conn = conn
		r.Hung = false
		return r
	}
	if err != nil && r.Err == nil {
		r = Result{Err: &Failure{Reason: "error", Err: err}}
	}
	return r
}

// write writes what became of batch.
func (w *worker) write(ctx context.Context, batch []attempted, o outcome, move func() error, took time.Duration) error {
	s, now := w.relay.store, w.relay.cfg.Clock.Now()
	var (
		verdicts []verdict
		taken    []uuid.UUID
	)
	for i := range batch {
		id := batch[i].entry.ID
		if f, ok := o.failed[id]; ok {
			verdicts = append(verdicts, judge(id, f, batch[i].attempts+1, w.target.MaxAttempts, now))
		} else {
			taken = append(taken, id)
		}
	}
	err := s.inTx(ctx, w.conn, func() error {
		if !w.dueAt.IsZero() {
			if err := s.settle(ctx, w.conn, w.target.Name, taken); err != nil {
				return err
			}
		}
		if err := s.note(ctx, w.conn, w.target.Name, verdicts, now); err != nil {
			return err
		}
		return move()
	})
	if err != nil {
		return err
	}
	for i := range verdicts {
		if v := &verdicts[i]; !v.discard && (w.dueAt.IsZero() || v.next.Before(w.dueAt)) {
			w.dueAt = v.next
		}
	}
	if len(taken) > 0 {
		w.tellTaken(batch, o.failed, took)
		w.recovered()
	}
	w.tellVerdicts(verdicts)
	return nil
}

func (w *worker) tellTaken(batch []attempted, failed map[uuid.UUID]Failure, took time.Duration) {
	var taken []uuid.UUID
	attempt := 1
	for i := range batch {
		if _, ok := failed[batch[i].entry.ID]; !ok {
			taken = append(taken, batch[i].entry.ID)
			attempt = max(attempt, batch[i].attempts+1)
		}
	}
	if len(taken) > 0 {
		w.notify(hooks.Notice{Kind: hooks.NoticeDelivered, Events: taken, Duration: took, Attempt: attempt})
	}
}

func (w *worker) tellVerdicts(verdicts []verdict) {
	for i := range verdicts {
		v := &verdicts[i]
		n := hooks.Notice{
			Kind: hooks.NoticeFailed, Events: []uuid.UUID{v.id}, Attempt: v.attempts,
			Reason: v.failure.Reason, Permanent: v.failure.Permanent, Err: v.failure.Err,
		}
		w.notify(n)
		if v.discard {
			n.Kind = hooks.NoticeDiscarded
			w.notify(n)
		}
	}
}

// trip suspends the target, and takes back what was held against entries since
// it last took one.
func (w *worker) trip(ctx context.Context, r Result) error {
	now := w.relay.cfg.Clock.Now()
	was, charged := w.breaker.open, w.breaker.charged
	pause := w.breaker.trip(now)
	if was {
		return nil
	}
	if len(charged) > 0 {
		if err := w.relay.store.forgive(ctx, w.conn, w.target.Name, charged, now); err != nil {
			return err
		}
		w.dueAt = now
	}
	w.relay.cfg.Log.Warn("aftercommit: a forwarder takes nothing and is suspended; its entries wait, and no attempt is counted",
		zap.String("forwarder", w.target.Name), zap.Duration("pause", pause), zap.String("reason", r.Err.Reason), zap.Error(r.Err.Err))
	w.notify(hooks.Notice{Kind: hooks.NoticeSuspended, Reason: r.Err.Reason, Err: r.Err.Err})
	return nil
}

// recovered ends a suspension.
func (w *worker) recovered() {
	if w.breaker.close() {
		w.relay.cfg.Log.Info("aftercommit: a forwarder takes entries again", zap.String("forwarder", w.target.Name))
		w.notify(hooks.Notice{Kind: hooks.NoticeResumed})
	}
}
