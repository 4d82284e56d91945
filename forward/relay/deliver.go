package relay

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// mover moves the cursor, or confirms that this process still has the lease. With
// commits, it may commit by the same statement, and then reports true.
type mover func(commits bool) (committed bool, err error)

// attempt is a batch to deliver, and what moves with it.
type attempt struct {
	lane  *lane
	batch []candidate
	move  mover
	// findProof looks for proof that the sink is up when an entry has failed alone, and
	// reports whether there is.
	findProof func(alone journal.Position, late bool) (bool, error)
}

// end is how an attempt ended.
type end uint8

const (
	settled   end = iota // what came of it is written
	undecided            // the lane has another plan
	suspended            // the sink accepts nothing
)

// deliver makes one call, and writes the result of each entry together with what the
// mover writes. Entries that cannot be read fail without a call. If all fail and nothing
// shows whether they or the sink are at fault, nothing is written.
func (w *worker) deliver(ctx context.Context, a attempt) (end, error) {
	if err := w.complete(ctx, a.batch); err != nil {
		return suspended, err
	}
	entries := w.callable(a.batch)
	start, clock := time.Now(), w.relay.cfg.Clock
	began := clock.Now()
	took := func() time.Duration { return clock.Now().Sub(began) }
	r, inTx, err := w.attempt(ctx, entries)
	if err != nil {
		return suspended, err
	}
	var (
		failed  map[uuid.UUID]Failure
		charged bool
	)
	switch n := len(entries); {
	case !r.doubtful(n):
		failed = r.failures(entries)
	case n > 1:
		a.lane.plan.failed(len(a.batch), took(), r.late())
		return undecided, nil
	default:
		guilty, err := w.guilty(a, entries[0].Position, r.late())
		if err != nil {
			return suspended, err
		}
		if !guilty {
			return suspended, w.trip(ctx, a.lane, r.why())
		}
		failed, charged = map[uuid.UUID]Failure{entries[0].ID: r.why()}, true
	}
	verdicts := w.verdicts(a.batch, failed)
	if err := w.writeResults(ctx, a, failed, verdicts, inTx); err != nil {
		if len(entries) > 0 && w.relay.store.d.refuses(err) {
			w.unwritten.begin(w.relay.cfg.Clock.Now())
		}
		return suspended, err
	}
	w.unwritten = pause{}
	w.addGaps(verdicts)
	if charged { // only now: what the database did not write uses up no proof
		w.evidence.charge(entries[0].Position)
	}
	worked := took()
	if charged {
		worked = 0 // it was spent on an entry that is bad
	}
	a.lane.plan.passed(len(a.batch), worked)
	w.notifyResult(entries, a.batch, failed, verdicts, time.Since(start))
	if r.proves(len(entries)) {
		w.recovered(w.evidence.last)
	}
	return settled, nil
}

// callable returns the entries of batch that the sink is to get: those that can be read, are of this database,
// and were not accepted ahead of the cursor.
func (w *worker) callable(batch []candidate) []journal.Entry {
	entries := make([]journal.Entry, 0, len(batch))
	for i := range batch {
		if e := batch[i].entry; !w.ahead[e.Position] && e.Unreadable == "" && !batch[i].isForeign() {
			entries = append(entries, *e)
		}
	}
	return entries
}

// distinct returns how many of batch can go into one call: those before the second entry of
// one event ID. A sink names what it refuses by ID, which another program may have given to an
// entry, too: the two are in separate calls. One that was accepted ahead of the cursor is in no
// call, and still the sink's word is of one of the two only. A call also ends after the row change
// with which its changes, which are read for it, have more than mostOctets.
func (w *worker) distinct(batch []candidate) int {
	seen := make(map[uuid.UUID]bool, len(batch))
	octets := 0
	for i := range batch {
		e := batch[i].entry
		if octets > mostOctets {
			return i
		}
		octets += batch[i].octets
		if e.Unreadable != "" {
			continue // it is in no call, and is discarded whatever the sink says
		}
		if seen[e.ID] {
			return i
		}
		seen[e.ID] = true
	}
	return len(batch)
}

// attempt makes a call with entries, if there are any. For a sink in the same database
// it begins a transaction, and leaves it open if what was written in it is to be kept.
func (w *worker) attempt(ctx context.Context, entries []journal.Entry) (r Result, inTx bool, err error) {
	if len(entries) == 0 {
		return r, false, nil
	}
	if err = w.prepare(ctx); err != nil {
		return r, false, err
	}
	if r, err = w.call(ctx, entries); err != nil {
		return r, false, err
	}
	if w.target.SameDatabase {
		if inTx = r.canRenew(); !inTx && !r.Hung { // after a call that hangs it has a new connection
			r = r.whole(len(entries))
			if err = w.rollback(ctx); err != nil {
				return r, false, err
			}
		}
	}
	err = w.interrupted(ctx, r)
	if err != nil && inTx {
		err = errors.Join(err, w.rollback(ctx))
	}
	return r, inTx, err
}

// prepare makes the lease last for a call, and begins the transaction that the call is
// part of, if it is.
func (w *worker) prepare(ctx context.Context) error {
	if err := w.extend(ctx); err != nil {
		w.lease.lose(err)
		return err
	}
	if w.target.SameDatabase {
		return w.begin(ctx)
	}
	return nil
}

// guilty reports whether an entry that failed alone is itself at fault, not the sink.
func (w *worker) guilty(a attempt, alone journal.Position, late bool) (bool, error) {
	since := w.evidence.failedAlone(alone)
	if w.evidence.budget > 0 {
		return true, nil
	}
	if w.target.Accepted != nil {
		if at := w.target.Accepted(); at.After(since) {
			w.recovered(at)
			return true, nil
		}
	}
	return a.findProof(alone, late)
}

// writeResults writes what came of a batch and moves the cursor: in the transaction of the
// delivery, if it had one.
func (w *worker) writeResults(ctx context.Context, a attempt, failed map[uuid.UUID]Failure, verdicts []verdict, inTx bool) (err error) {
	switch {
	case inTx:
		committed := false
		if err = w.write(ctx, a.batch, failed, verdicts); err == nil {
			committed, err = a.move(true)
		}
		if err == nil && !committed {
			_, err = w.conn.ExecContext(ctx, "COMMIT")
		}
		if err != nil {
			err = errors.Join(err, w.rollback(ctx))
		}
	case len(verdicts) == 0 && w.dueAt.IsZero():
		_, err = a.move(false) // there are no failures to write or to remove
	default:
		err = w.inTx(ctx, func() error {
			if e := w.write(ctx, a.batch, failed, verdicts); e != nil {
				return e
			}
			_, e := a.move(false)
			return e
		})
	}
	return err
}

// interrupted returns an error if entries failed and ctx has ended: their failure then
// says nothing about them or the sink, and they come again.
func (w *worker) interrupted(ctx context.Context, r Result) error {
	if r.acceptedAll() {
		return nil
	}
	return context.Cause(ctx)
}

// rollback ends a transaction, or the connection with it. On SQLite a connection that is
// closed without it may keep its locks.
func (w *worker) rollback(ctx context.Context) error {
	_, err := w.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	if err == nil && w.leftover != StillOpen {
		return nil
	}
	return w.reconnect(ctx)
}

// call makes one call. That of a sink in the same database is in the transaction that is
// open; for any other the worker gives its connection back, and takes one after the call.
func (w *worker) call(ctx context.Context, entries []journal.Entry) (r Result, err error) {
	if err = context.Cause(ctx); err != nil { // the lease may be another process's, and the sink with it
		return Result{Err: &Failure{Reason: "error", Err: err}}, nil
	}
	w.lease.inCall(true)
	defer w.lease.inCall(false)
	clock := w.relay.cfg.Clock
	began := clock.Now()
	deliver := func(db *sql.DB) Result { return w.target.Deliver(ctx, db, entries) }
	var lent error
	if w.target.SameDatabase {
		var left Leftover
		left, lent = LendWithin(w.conn, func(db *sql.DB) bool { r = deliver(db); return r.Hung })
		w.leftover = max(w.leftover, left) // its transaction is not over
	} else {
		w.disconnect(nil)
		r = w.relay.lender.Call(deliver)
	}
	w.evidence.called(began, clock.Now())
	switch {
	case w.conn == nil:
		err = w.connect(ctx, nil) // what was delivered is written although the relay stops
	case r.Hung:
		err = w.reconnect(ctx)
	case w.leftover == StillOpen:
		r = Result{Err: &Failure{Reason: "error", Err: errLeftOpen}}
	}
	if err == nil {
		err = r.Starved
	}
	switch {
	case r.Hung:
		return r, err
	case lent != nil && r.Err == nil:
		r = Result{Err: &Failure{Reason: "error", Err: lent}}
	}
	if len(entries) == 1 {
		r = Result{Err: r.of(entries[0].ID), Filtered: r.Filtered, TimedOut: r.TimedOut}
	}
	return r, err
}

// errLeftOpen is what a sink in the same database gets for its calls.
var errLeftOpen = errors.New("the forwarder has left rows, a transaction or a connection of forward.Conn open, so what it has written cannot be committed: close them")

// verdicts are what to write about the entries that failed.
func (w *worker) verdicts(batch []candidate, failed map[uuid.UUID]Failure) (verdicts []verdict) {
	now := w.relay.cfg.Clock.Now()
	for i := range batch {
		if f := batch[i].failureOf(failed); f != nil {
			verdicts = append(verdicts, judge(&batch[i], *f, w.target.MaxAttempts, now))
		}
	}
	return verdicts
}

// write writes what became of batch, in the transaction that is open.
func (w *worker) write(ctx context.Context, batch []candidate, failed map[uuid.UUID]Failure, verdicts []verdict) error {
	s, now := w.relay.store, w.relay.cfg.Clock.Now()
	if !w.dueAt.IsZero() {
		var accepted []journal.Position
		for i := range batch {
			if batch[i].failureOf(failed) == nil {
				accepted = append(accepted, batch[i].entry.Position)
			}
		}
		if err := s.deleteRetries(ctx, w.conn, w.target.Name, accepted); err != nil {
			return err
		}
	}
	return s.note(ctx, w.conn, w.target.Name, verdicts, now)
}

// notifyResult notifies observers of what became of entries, those of batch that the sink was
// called with, and keeps dueAt and ahead in line with it.
func (w *worker) notifyResult(entries []journal.Entry, batch []candidate, failed map[uuid.UUID]Failure, verdicts []verdict, took time.Duration) {
	for i := range verdicts {
		if v := &verdicts[i]; !v.discard && (w.dueAt.IsZero() || v.next.Before(w.dueAt)) {
			w.dueAt = v.next
		}
	}
	attempt := 1
	for i := range batch {
		delete(w.ahead, batch[i].entry.Position)
		if batch[i].failureOf(failed) == nil {
			attempt = max(attempt, batch[i].attempts+1)
		}
	}
	var accepted []uuid.UUID
	for i := range entries {
		if _, ok := failed[entries[i].ID]; !ok {
			accepted = append(accepted, entries[i].ID)
		}
	}
	if len(accepted) > 0 {
		w.notify(hooks.Notice{Kind: hooks.NoticeDelivered, Events: accepted, Duration: took, Attempt: attempt})
	}
	w.notifyVerdicts(verdicts)
}

func (w *worker) notifyVerdicts(verdicts []verdict) {
	for i := range verdicts {
		v := &verdicts[i]
		n := hooks.Notice{
			Kind: hooks.NoticeFailed, Events: v.events(), Count: 1, Attempt: v.attempts,
			Reason: v.failure.Reason, Permanent: v.failure.Permanent, Err: v.failure.Err,
		}
		if !v.discard {
			n.NextAt = v.next
		}
		w.notify(n)
		if v.discard {
			n.Kind = hooks.NoticeDiscarded
			w.notify(n)
		}
	}
}

// trip suspends a lane, and takes back the attempts counted since the sink last accepted
// an entry. If new entries have to wait, so have those that are due.
func (w *worker) trip(ctx context.Context, l *lane, f Failure) error {
	now := w.relay.cfg.Clock.Now()
	was := w.fresh.open || w.again.open
	l.suspend(now)
	w.window, w.again.known = window{}, nil // the pause may be long
	w.stayAway(l, now)
	if l == &w.fresh && !w.again.open {
		w.again.suspend(now)
	}
	if entries := w.evidence.forgive(); len(entries) > 0 {
		err := w.fenced(ctx, func() error { return w.relay.store.forgive(ctx, w.conn, w.target.Name, entries, now) })
		if err != nil {
			return err
		}
		w.dueAt = now
	}
	if was {
		return nil
	}
	w.relay.suspend(w.target.Name, now, f)
	w.relay.cfg.Log.Warn("aftercommit: a forwarder accepts nothing and is suspended; its entries wait, and no attempt is counted",
		zap.String("forwarder", w.target.Name), zap.Duration("pause", l.pause.length), zap.String("reason", f.Reason), zap.Error(f.Err))
	w.notify(hooks.Notice{Kind: hooks.NoticeSuspended, Reason: f.Reason, Err: f.Err})
	return nil
}

// fenced runs f in a transaction that fails if the lease is lost.
func (w *worker) fenced(ctx context.Context, f func() error) error {
	return w.inTx(ctx, func() error {
		if err := f(); err != nil {
			return err
		}
		return w.relay.store.confirm(ctx, w.conn, w.cursor)
	})
}

// recovered records that the sink was up at a time, and ends a suspension.
func (w *worker) recovered(at time.Time) {
	was := w.fresh.open || w.again.open
	w.evidence.prove(at)
	w.fresh.resume()
	w.again.resume()
	w.absent = time.Time{}
	if was {
		w.relay.resume(w.target.Name)
		w.relay.cfg.Log.Info("aftercommit: a forwarder takes entries again", zap.String("forwarder", w.target.Name))
		w.notify(hooks.Notice{Kind: hooks.NoticeResumed})
	}
}
