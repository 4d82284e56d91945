package driver

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-aftercommit/aftercommit/driver/internal/txn"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// flushState is what a flush found.
type flushState int8

const (
	flushNothing flushState = iota // there was nothing to write or to prove
	flushProven                    // written, or proven to be in a healthy transaction
	flushLate                      // the transaction is write-free: write after its COMMIT
	flushAborted                   // PostgreSQL: it has failed, COMMIT will roll back
	flushGone                      // it had ended already
	flushFailed                    // the write failed

	// These say that the COMMIT was sent with the events.
	flushEnded     // it has been answered
	flushEndedLate // it has, and the transaction was write-free: write after it
	flushUnwritten // it has, but no row was written where one must be
	flushLost      // what came back instead of an answer is a panic
)

// sentCommit reports whether the COMMIT was sent with the events.
func (s flushState) sentCommit() bool { return s >= flushEnded }

// flushBeforeEnd writes what is not written yet, together with the COMMIT if that
// is the driver's own. Where there are only functions, it proves that the
// transaction is still there to be committed.
func (c *conn) flushBeforeEnd(ctx context.Context, e ending) (flushState, error) {
	t := &c.tx
	switch {
	case t.Broken() != nil:
		return flushFailed, t.Broken()
	case t.IsEmpty():
		return flushNothing, nil
	case c.is.savepointWitness:
		return c.flushWitnessed(ctx)
	}
	events := t.Pending()
	if len(events) == 0 {
		if !t.MustProve() {
			return flushNothing, nil
		}
		state, _ := c.prove(ctx)
		return state, nil
	}
	if c.is.readersStay && !t.Wrote && (!e.own || t.Implicit) { // it may have only read
		if state, err := c.proveFor(ctx, events); state != flushProven {
			return state, err
		}
		if !t.Perhaps || !c.holdsMain(ctx) {
			return flushLate, nil
		}
	}
	how := flushing{must: e.own, own: e.own, alone: e.own && !t.Implicit, keep: t.Mode == hooks.BestEffort, ends: true}
	// In best effort the app's COMMIT must still be there if the write before it fails.
	how.joins = e.own || e.joins && !how.keep
	return c.flush(ctx, &t.Record, events, how)
}

// readOnlyError is for captured events that a read-only transaction cannot take, and for all
// that one cannot take which is prepared: there is no time after it for them.
type readOnlyError struct{ prepared bool }

func (e readOnlyError) Error() string {
	if e.prepared {
		return "driver: the transaction is read-only and was to be prepared, so its audit events can be written neither in it nor after it: begin it read-write, or end it by COMMIT"
	}
	return "driver: the transaction has written and is read-only now, so its audit events cannot be written in it: make it read-only before it writes, or not at all"
}

// SQLState is that of the journal, which says the same where it sees that for itself.
func (readOnlyError) SQLState() string { return "25X06" }

// insist writes what would else come after the COMMIT of a write-free
// transaction: because there is no such moment (it is prepared, or chained), or
// because the transaction has written something that leaves no transaction number
// here, such as a row of a foreign table. Only a read-only one still refuses.
func (c *conn) insist(ctx context.Context, ends bool) (flushState, error) {
	events := c.tx.Pending()
	state, err := c.flush(ctx, &c.tx.Record, events, flushing{must: true, keep: true, ends: ends})
	if state != flushLate {
		return state, err
	}
	c.tx.ReadOnly = true
	if !anyCaptured(events) {
		return flushLate, nil
	}
	c.db.handler.failed(events, "read_only", readOnlyError{})
	return flushFailed, readOnlyError{}
}

// anyCaptured reports whether one of events is of a statement that was captured, which a read-only
// transaction cannot have executed before it was one. Those of who may have written are of any.
func anyCaptured(events []hooks.Event) bool {
	return slices.ContainsFunc(events, func(e hooks.Event) bool { return e.Captured && !isContext(e) })
}

// prove asks whether the transaction is open and healthy. If that cannot be found out, it
// returns flushNothing and why.
func (c *conn) prove(ctx context.Context) (flushState, error) {
	switch s, err := c.session.ask(ctx); s {
	case stateOpen:
		return flushProven, nil
	case stateAborted:
		return flushAborted, nil
	case stateIdle:
		return flushGone, nil
	default:
		return flushNothing, err
	}
}

// proveFor is prove for a transaction with events to write. Not to know counts as a write that
// has failed, or the COMMIT would go ahead without them.
func (c *conn) proveFor(ctx context.Context, events []hooks.Event) (flushState, error) {
	state, err := c.prove(ctx)
	if state != flushNothing {
		return state, nil
	}
	err = fmt.Errorf("driver: the audit events were not written: it could not be proven that the transaction is open: %w", err)
	c.db.handler.failed(events, "journal", err)
	return flushFailed, err
}

// flushing is how to flush.
type flushing struct {
	must bool // not to write is an error
	// keep: a write that fails leaves the transaction as it was, at the price of
	// a savepoint that remains on PostgreSQL.
	keep bool
	// joins: the COMMIT follows at once, and may go with the write: it is the driver's own,
	// or the connection has a Committer.
	joins bool
	// own: the transaction is the driver's, and exists for the events or for the
	// statement that they are of; alone: for the events only.
	own, alone bool
	// ends: the COMMIT is next.
	ends bool
	// rehearsal: it will be rolled back, and the same events be written later.
	rehearsal bool
}

// flush lets the handler write the pending events of a record on this connection.
func (c *conn) flush(ctx context.Context, r *txn.Record, events []hooks.Event, how flushing) (flushState, error) {
	if c.is.journaled && !c.is.joins { // no guard is sent with the first statement
		if state, err := c.proveFor(ctx, events); state != flushProven {
			return state, err
		}
	}
	defer c.db.dialect.writable(ctx, c)()
	if err := c.db.refuseUnattributed(r.Mode, events); err != nil {
		return flushFailed, err
	}
	app := ctx
	ctx, done := c.own.outlast(ctx, c.db.reg.cfg.writeTimeout+margin)
	defer done()
	guard, err := c.own.guard(ctx, how.keep)
	if err != nil {
		return flushFailed, err
	}
	l := c.lend(loanFlush)
	l.guard = guard
	defer func() {
		if l.shared() { // not before: to take the write back needs ctx
			endNow(ctx)
		}
	}()
	f := hooks.Flush{Conn: l, Events: events, Tx: r.TxNumber(), Must: how.must, Wrote: r.Wrote, Timeout: c.db.reg.cfg.writeTimeout}
	if c.tells && c.is.joins && onlyContexts(events) {
		f.Wrote = false // the server knows
	}
	r.ForgetKept()
	if how.ends && (c.answers || c.is.local) {
		f.Keep = c.keep
	}
	defer c.join(app, l, &f, how)()
	w := handlerWrite{must: f.Must, free: !f.Must && !f.Wrote && !r.HasWritten() && txn.Part(events) == len(events)}
	w.written, w.err = c.writeParts(ctx, r, f)
	w.native, w.touched = l.revoke(ctx), l.touched()
	end := l.ending()
	w.reached = end.Reached
	switch state := c.stateAfter(ctx, end, w.native); {
	case state == flushNothing:
		return c.afterWrite(ctx, r, events, how, w)
	case state.sentCommit():
		return c.afterSentCommit(state, r, events, how, w)
	default:
		return state, nil
	}
}

// handlerWrite is what a handler has done about the events of a flush.
type handlerWrite struct {
	must    bool  // it had to write
	free    bool  // it need not have written, because the transaction may have written nothing
	written bool  // it says that it has
	touched bool  // it has executed something
	reached bool  // and heard what the write has returned, with the COMMIT behind it
	err     error // its error
	native  error // the last one of the base driver
}

// afterWrite is the end of a flush that has left the transaction open: what was written stays
// in it, or is taken back.
func (c *conn) afterWrite(ctx context.Context, r *txn.Record, events []hooks.Event, how flushing, w handlerWrite) (flushState, error) {
	if w.err == nil && !w.written && how.must {
		w.err = errUnwritten
	}
	if how.keep && (w.touched || !c.is.joins) {
		if back := c.own.leaveGuard(ctx, w.err != nil); w.err == nil {
			w.err = back
		}
	}
	readOnly := hooks.SQLState(w.native) == readOnlySQLTransaction
	switch {
	case readOnly && how.must && !how.own:
		return flushLate, nil
	case readOnly && w.must && !how.must:
		c.db.handler.failed(events, "read_only", readOnlyError{})
		return flushFailed, readOnlyError{}
	case w.err != nil:
		c.db.handler.failed(events, "journal", w.err)
		if w.native != nil && hooks.SQLState(w.native) != insufficientPrivilege {
			return flushFailed, w.native // what the app may retry on; of a missing right the handler's error says what to grant
		}
		return flushFailed, w.err
	case !w.written:
		return flushLate, nil
	}
	r.Written()
	if !how.rehearsal {
		c.db.countUnattributed(events)
	}
	if !w.touched {
		r.InMemory = true
		return c.proveInMemory(ctx, how.alone), nil
	}
	return flushProven, nil
}

// afterSentCommit is the end of a flush that the COMMIT was sent with.
func (c *conn) afterSentCommit(state flushState, r *txn.Record, events []hooks.Event, how flushing, w handlerWrite) (flushState, error) {
	if state == flushEndedLate {
		return c.endedLate(events, how, w.native)
	}
	r.Written()
	r.MaybeFree = w.free && !w.reached
	if state == flushLost {
		c.discard()
		return state, w.err
	}
	if w.native == nil {
		c.db.countUnattributed(events)
	}
	return state, w.native
}

// endedLate is afterSentCommit where the COMMIT was answered, by native, and the write before it
// returned no row.
func (c *conn) endedLate(events []hooks.Event, how flushing, native error) (flushState, error) {
	if !how.own || native != nil {
		return flushEndedLate, native
	}
	// The transaction exists for the events: there is nothing to write them after.
	err := fmt.Errorf("driver: the transaction has committed without its audit events: %w", errUnwritten)
	c.db.handler.failed(events, "journal", err)
	return flushUnwritten, err
}

// join lets the handler put the COMMIT behind its write, where the two may be one message. done
// must be called once it has.
func (c *conn) join(app context.Context, l *loan, f *hooks.Flush, how flushing) (done func()) {
	switch {
	case !how.joins || !c.is.joins || !c.own.execs() || c.nested():
		return func() {}
	case how.own:
		l.last, done = c.own.outlast(app, 0)
	default:
		l.last, l.committer, done = app, c.committer, func() {}
		// After the COMMIT it would be too late for what insist says of captured events.
		f.Must = f.Wrote && anyCaptured(f.Events)
	}
	f.Final = l.commits
	return done
}

// stateAfter is what has become of the transaction by a write, and by the COMMIT behind it if
// there was one; native is the last error. It is flushNothing if the transaction is still there.
func (c *conn) stateAfter(ctx context.Context, end finalQuery, native error) flushState {
	if !end.Reached { // else what has failed is the COMMIT
		switch c.db.dialect.stateOf(native) {
		case stateIdle:
			return flushGone
		case stateAborted:
			return flushAborted
		}
	}
	switch {
	case end.sent && !end.returned:
		return flushLost
	case end.Reached && end.Rows == 0:
		return flushEndedLate
	case end.Reached, end.sent && c.answered(ctx, native):
		return flushEnded
	}
	return flushNothing
}

var errUnwritten = errors.New("driver: the hook did not write events that must be written")

// writeParts lets the handler write the events of f: in several parts, each with a key of its
// own, if they are many. What comes after the first part must be written too.
func (c *conn) writeParts(ctx context.Context, r *txn.Record, f hooks.Flush) (written bool, err error) {
	for skip := 0; ; f.Must = true {
		part := f
		part.Events = f.Events[skip:]
		n := txn.Part(part.Events)
		if n < len(part.Events) {
			part.Events, part.Final = part.Events[:n], nil
		}
		part.Initial = !r.HasKey()
		part.Key = r.AssignKey(skip, n)
		written, err = c.db.handler.flush(ctx, part)
		if err == nil && !written && skip > 0 {
			err = errUnwritten
		}
		if skip += n; err != nil || !written || skip == len(f.Events) {
			return written, err
		}
	}
}

// proveInMemory is for a flush in which the handler has executed nothing, and so not the guard
// either: no rows will decide on these events, so the transaction must be proven here. One that
// the driver began for them alone has had no statement that could have failed.
func (c *conn) proveInMemory(ctx context.Context, alone bool) flushState {
	if !c.is.joins || alone {
		return flushProven
	}
	state, _ := c.prove(ctx)
	return state
}

// answered reports whether err is what the COMMIT behind a write answered, or may
// be. It is not where the transaction is still there: then the write failed, and
// the COMMIT was not reached.
func (c *conn) answered(ctx context.Context, err error) bool {
	if err == nil || c.opt.lostBy(err) {
		return true
	}
	s := c.session.probe(ctx)
	return s != stateOpen && s != stateAborted
}
