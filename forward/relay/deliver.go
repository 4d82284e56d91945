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

// mover moves the cursor, or sees that it is still this process's to move. With
// commits, it may commit with the same statement, and says so.
type mover func(commits bool) (committed bool, err error)

// deliver makes an attempt at each of batch, writes what came of it together
// with what move writes, and tells. It reports false if nothing has been written,
// because the sink is down or hangs.
func (w *worker) deliver(ctx context.Context, batch []attempted, move mover) (done bool, err error) {
	entries := make([]journal.Entry, len(batch))
	for i := range batch {
		entries[i] = batch[i].entry
	}
	start := time.Now()
	if w.target.SameDatabase && len(entries) > 0 {
		return w.deliverInTx(ctx, batch, entries, move)
	}
	var (
		o outcome
		r Result
	)
	if len(entries) > 0 {
		r = w.callOutside(ctx, entries)
		o = w.judge(entries, r, func(part []journal.Entry) Result { return w.callOutside(ctx, part) })
	}
	if o.interrupted(ctx) {
		return false, context.Cause(ctx)
	}
	if o.down || o.hung {
		return false, w.suspect(ctx, o, len(entries), r)
	}
	verdicts := w.verdicts(batch, o)
	if len(verdicts) == 0 && w.dueAt.IsZero() {
		_, err = move(false) // there are no failures to write or to remove
	} else {
		err = w.inTx(ctx, func() error {
			if e := w.write(ctx, batch, o, verdicts); e != nil {
				return e
			}
			_, e := move(false)
			return e
		})
	}
	if err != nil {
		return false, err
	}
	w.tell(batch, o, verdicts, time.Since(start))
	return true, nil
}

// deliverInTx delivers to a sink in the same database, in one transaction with
// the cursor. A sink that fails half way leaves nothing of it: the transaction
// begins anew, and each further call has a savepoint.
func (w *worker) deliverInTx(ctx context.Context, batch []attempted, entries []journal.Entry, move mover) (done bool, err error) {
	start := time.Now()
	if err = w.extend(ctx); err != nil {
		return false, err
	}
	if err = w.begin(ctx); err != nil {
		return false, err
	}
	open := w.conn
	defer func() {
		if !done && w.conn == open {
			w.rollback(ctx)
		}
	}()
	r := w.call(ctx, entries)
	if !r.Hung && !r.taken() {
		r = r.whole()
		if _, err = w.conn.ExecContext(ctx, "ROLLBACK"); err != nil {
			return false, err
		}
		if err = w.begin(ctx); err != nil {
			return false, err
		}
	}
	var broken error
	o := w.judge(entries, r, func(part []journal.Entry) Result { return w.callInSavepoint(ctx, part, &broken) })
	if broken != nil {
		return false, broken
	}
	if o.interrupted(ctx) {
		return false, context.Cause(ctx)
	}
	if o.down || o.hung {
		if w.conn == open {
			w.rollback(ctx)
			open = nil
		}
		return false, w.suspect(ctx, o, len(entries), r)
	}
	if w.conn != open { // a single entry hung, and took the transaction with it
		if err = w.begin(ctx); err != nil {
			return false, err
		}
		open = w.conn
	}
	verdicts := w.verdicts(batch, o)
	if err = w.write(ctx, batch, o, verdicts); err != nil {
		return false, err
	}
	committed, err := move(true)
	if err == nil && !committed {
		_, err = w.conn.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		return false, err
	}
	w.tell(batch, o, verdicts, time.Since(start))
	return true, nil
}

// interrupted reports whether entries failed when ctx had ended already: that says
// nothing of them or of the sink, and they come again.
func (o *outcome) interrupted(ctx context.Context) bool {
	return ctx.Err() != nil && (o.down || o.hung || len(o.failed) > 0)
}

// rollback ends a transaction, or the connection with it.
func (w *worker) rollback(ctx context.Context) {
	if _, err := w.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); err != nil {
		discard(w.conn)
	}
}

// callInSavepoint is call, undone unless all were taken. broken is set if the
// transaction cannot go on.
func (w *worker) callInSavepoint(ctx context.Context, entries []journal.Entry, broken *error) Result {
	if *broken != nil {
		return Result{Err: &Failure{Reason: "error", Err: *broken}}
	}
	conn := w.conn
	// Before the savepoint: going back to that would give the row's lock back too.
	err := w.extend(ctx)
	if err == nil {
		_, err = conn.ExecContext(ctx, "SAVEPOINT aftercommit_part")
	}
	if err != nil {
		*broken = err
		return Result{Err: &Failure{Reason: "error", Err: err}}
	}
	r := w.call(ctx, entries)
	if r.Hung {
		return r // the connection is gone
	}
	if !r.taken() {
		if _, err := conn.ExecContext(ctx, "ROLLBACK TO SAVEPOINT aftercommit_part"); err != nil {
			*broken = err
		}
	}
	if _, err := conn.ExecContext(ctx, "RELEASE SAVEPOINT aftercommit_part"); err != nil && *broken == nil {
		*broken = err
	}
	return r.whole()
}

// judge decides, from the result of a call with all entries and further calls,
// what became of each.
func (w *worker) judge(entries []journal.Entry, r Result, call func([]journal.Entry) Result) (o outcome) {
	switch {
	case r.taken():
		return o
	case len(entries) == 1 && r.transient():
		return w.single(entries[0].ID, r)
	case r.Hung:
		return outcome{hung: true}
	case r.transient():
		return isolate(entries, call)
	}
	o.failed = make(map[uuid.UUID]Failure)
	o.add(entries, r)
	return o
}

// suspect slows down for a sink that hangs, and suspends one that is down.
func (w *worker) suspect(ctx context.Context, o outcome, entries int, r Result) error {
	if o.hung && !o.down {
		w.careful = entries // one of them, or all; that shows when they come alone
		return nil
	}
	return w.trip(ctx, r)
}

// callOutside is call, outside any transaction.
func (w *worker) callOutside(ctx context.Context, entries []journal.Entry) Result {
	if err := w.extend(ctx); err != nil {
		w.lease.lose(err)
		return Result{Err: &Failure{Reason: "error", Err: err}}
	}
	return w.call(ctx, entries)
}

// call makes one call, outside any transaction or in the one that is open. After
// one that hangs the worker has another connection.
func (w *worker) call(ctx context.Context, entries []journal.Entry) (r Result) {
	if ctx.Err() != nil { // the lease may be another process's, and the sink with it
		return Result{Err: &Failure{Reason: "error", Err: context.Cause(ctx)}}
	}
	w.lease.inCall(true)
	defer w.lease.inCall(false)
	err := Lend(w.conn, func(db *sql.DB) { r = w.target.Deliver(ctx, db, entries) })
	if r.Hung {
		discard(w.conn)
		_ = w.conn.Close()
		conn, e := w.relay.db.Conn(ctx)
		if e != nil {
			return Result{Err: &Failure{Reason: "error", Err: e}, Hung: true}
		}
		w.conn = conn
		return r
	}
	if err != nil && r.Err == nil {
		r = Result{Err: &Failure{Reason: "error", Err: err}}
	}
	if len(entries) == 1 {
		r = Result{Err: r.of(entries[0].ID)}
	}
	return r
}

// verdicts are what to write about the entries that failed.
func (w *worker) verdicts(batch []attempted, o outcome) (verdicts []verdict) {
	now := w.relay.cfg.Clock.Now()
	for i := range batch {
		id := batch[i].entry.ID
		if f, ok := o.failed[id]; ok {
			verdicts = append(verdicts, judge(id, f, batch[i].attempts+1, w.target.MaxAttempts, now))
		}
	}
	return verdicts
}

// write writes what became of batch, in the transaction that is open.
func (w *worker) write(ctx context.Context, batch []attempted, o outcome, verdicts []verdict) error {
	s, now := w.relay.store, w.relay.cfg.Clock.Now()
	if !w.dueAt.IsZero() {
		var taken []uuid.UUID
		for i := range batch {
			if _, ok := o.failed[batch[i].entry.ID]; !ok {
				taken = append(taken, batch[i].entry.ID)
			}
		}
		if err := s.settle(ctx, w.conn, w.target.Name, taken); err != nil {
			return err
		}
	}
	return s.note(ctx, w.conn, w.target.Name, verdicts, now)
}

// tell tells what became of batch.
func (w *worker) tell(batch []attempted, o outcome, verdicts []verdict, took time.Duration) {
	for i := range verdicts {
		if v := &verdicts[i]; !v.discard && (w.dueAt.IsZero() || v.next.Before(w.dueAt)) {
			w.dueAt = v.next
		}
	}
	if len(o.failed) < len(batch) {
		w.tellTaken(batch, o.failed, took)
		w.recovered()
	}
	w.tellVerdicts(verdicts)
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
