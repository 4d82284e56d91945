package driver

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-aftercommit/aftercommit/driver/internal/txn"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// ending is one way to end a transaction: Tx.Commit, a raw COMMIT, PREPARE
// TRANSACTION, the COMMIT of a transaction of the driver's own.
type ending struct {
	run      func() error // the COMMIT itself
	undo     func() error // a ROLLBACK, for when the events cannot be written
	prepares bool
	chains   bool // the next transaction begins with the end of this one
	// own: the driver began the transaction, for events or around a captured statement, so
	// that not to write its events is an error.
	own bool
	// joins: the COMMIT may go with the events, by the connection's Committer.
	joins bool
}

// committed is what became of a transaction at its COMMIT.
type committed struct {
	err     error         // the COMMIT's own, unless the events could not be written
	open    bool          // the transaction goes on
	outcome hooks.Outcome // of the transaction, if it does not
}

// once is the error for database/sql. It matches ErrBadConn only where nothing has
// taken effect, or the statement would be executed again.
func (d committed) once() error {
	if errors.Is(d.err, driver.ErrBadConn) && d.outcome != hooks.RolledBack {
		return &notBad{d.err}
	}
	return d.err
}

// commit writes what is pending, runs the COMMIT and judges its answer.
func (c *conn) commit(ctx context.Context, e ending) committed {
	c.clearMark(ctx)
	t := &c.tx
	mode := t.Mode
	state, flushErr := c.writePending(ctx, e)
	if state == flushFailed && mode == hooks.Strict {
		did := c.rolledBack(ctx, e.undo())
		did.err = flushErr
		return did
	}
	var late, lost []hooks.Event
	switch state {
	case flushFailed, flushUnwritten:
		lost = t.TakePending()
	case flushLate, flushEndedLate:
		late = slices.DeleteFunc(t.TakePending(), isContext)
	}
	did := committed{err: flushErr}
	switch {
	case !state.sentCommit():
		did.err = e.run()
	case state == flushUnwritten:
		did.err = nil // of the COMMIT
	}
	if did.outcome, did.open = c.endBy(ctx, state, did.err, e); did.open {
		t.Put(append(late, lost...))
		t.ForgetKept()
		return did
	}
	c.db.handler.lose(lost, flushErr)
	if c.opt.lostBy(did.err) {
		c.discard()
	}
	switch {
	case state == flushUnwritten && mode == hooks.Strict:
		did.err = flushErr
	case len(late) == 0:
	case did.err != nil:
		c.dropLate(late, did.err)
	case e.chains:
		t.Late(late) // until the connection is between transactions
	default:
		did.err = c.writeLate(ctx, late, mode)
	}
	return did
}

// writePending writes what is pending before the COMMIT, or with it. Events for which flushLate
// says to write them after it are written before it all the same if there is no such moment, or
// if the transaction has written something after all.
func (c *conn) writePending(ctx context.Context, e ending) (flushState, error) {
	state, err := c.flushBeforeEnd(ctx, e)
	if state == flushLate && (e.prepares || e.chains || c.tx.Wrote) && !onlyContexts(c.tx.Pending()) {
		state, err = c.insist(ctx, true)
		if state == flushLate && e.prepares {
			// It may yet be rolled back, by any session, so it cannot be after it.
			state, err = flushFailed, readOnlyError{prepared: true}
			c.db.handler.failed(c.tx.Pending(), "read_only", err)
		}
	}
	return state, err
}

// endBy ends the transaction by what the flush has found, and by the error of its COMMIT. open
// says that it is still there.
func (c *conn) endBy(ctx context.Context, state flushState, err error, e ending) (outcome hooks.Outcome, open bool) {
	switch {
	case state == flushLost:
		return c.end(hooks.Unknown), false
	case state == flushGone:
		if c.is.journaled { // else nothing says what became of them
			c.tx.DropPending()
		}
		return c.end(hooks.Unknown), false
	case state == flushAborted:
		return c.end(hooks.RolledBack), false
	case err != nil && c.stillOpen(ctx, err):
		return outcome, true
	}
	return c.endAfter(err, state != flushNothing, e), false
}

// dropLate gives up the events of a write-free transaction whose COMMIT answered err. If
// it may have committed all the same, no row would ever show that.
func (c *conn) dropLate(late []hooks.Event, err error) {
	if judge(err) == hooks.RolledBack {
		c.tx.RolledBack(late)
	} else {
		c.db.handler.lose(late, err)
	}
}

// endAfter ends the transaction by what its COMMIT answered.
func (c *conn) endAfter(err error, proven bool, e ending) hooks.Outcome {
	outcome := judge(err)
	if s, known := c.own.status(); known && outcome == hooks.Committed && s != stateIdle && !e.chains {
		outcome = hooks.Unknown // the connection says that nothing has ended
		c.discard()
	}
	if outcome == hooks.Committed && !proven && c.tx.HasWritten() {
		outcome = hooks.Unknown // written earlier; the rows decide
	}
	if e.prepares && outcome == hooks.Committed {
		outcome = c.tx.EndPrepared()
		c.catalog.movedBack(true)
		return outcome
	}
	return c.end(outcome)
}

// stillOpen reports whether the transaction outlived a COMMIT that failed with
// err, as it may on SQLite (SQLITE_BUSY, a deferred foreign key), and on
// PostgreSQL if the COMMIT never left the driver (lib/pq with rows open).
func (c *conn) stillOpen(ctx context.Context, err error) bool {
	if c.db.dialect.ended(err, c.opt.lostBy) {
		return false
	}
	if c.defersAsking() {
		return true // as far as is known
	}
	switch c.session.probe(ctx) {
	case stateOpen, stateAborted:
		return true
	case stateUnknown:
		c.askBeforeUse(nil)
	}
	return false
}

// rolledBack ends the transaction after a ROLLBACK that answered err.
func (c *conn) rolledBack(ctx context.Context, err error) committed {
	still := committed{err: err, open: true}
	lost := c.opt.lostBy(err)
	if err != nil && !lost {
		if c.defersAsking() {
			return still
		}
		switch c.session.probe(ctx) {
		case stateOpen, stateAborted:
			return still
		case stateIdle:
			outcome := c.tx.EndRolledBack() // it ended before, somehow
			c.catalog.movedBack(true)
			return committed{err: err, outcome: outcome}
		case stateUnknown:
			return still // it cannot be asked, as with rows open on lib/pq, but it lives
		}
	}
	if lost {
		c.discard()
	}
	return committed{err: err, outcome: c.end(hooks.RolledBack)}
}

// writeLate writes the events of a transaction that wrote nothing, in a separate one after
// its COMMIT.
func (c *conn) writeLate(ctx context.Context, events []hooks.Event, mode hooks.Mode) error {
	err := c.writeBehind(ctx, events, mode)
	if err == nil {
		return nil
	}
	return &notBad{fmt.Errorf("driver: the transaction has committed, having written nothing, but its audit events could not be written after it: %w", err)}
}

// writeBehind is writeOwn for events of what has committed already: those that are not
// written are lost. That is no error in best effort.
func (c *conn) writeBehind(ctx context.Context, events []hooks.Event, mode hooks.Mode) error {
	ctx, cancel := c.own.afterwards(ctx)
	defer cancel()
	did := c.writeOwn(ctx, events, mode, true)
	if did.outcome == hooks.RolledBack {
		c.db.handler.lose(events, did.err)
	}
	if mode == hooks.BestEffort {
		return nil
	}
	return did.once()
}

// writeOwn writes events in a transaction that exists for them. behind says that they are
// of what has committed already. Otherwise, if the transaction is rolled back or cannot
// begin, it is reported as rolled back; except where the connection is lost before anything
// has happened, because database/sql then tries again on another one.
func (c *conn) writeOwn(ctx context.Context, events []hooks.Event, mode hooks.Mode, behind bool) committed {
	if !c.is.journaled {
		return c.publish(ctx, events, mode, behind)
	}
	if err := c.execOutlasting(ctx, c.db.dialect.begin(nil), 0); err != nil {
		if mode == hooks.Strict && errors.Is(err, driver.ErrBadConn) {
			return committed{err: err, outcome: hooks.RolledBack}
		}
		c.db.handler.failed(events, "journal", err)
		return c.unwritten(events, mode, behind, err)
	}
	c.tx.Begin(txn.Start{Ctx: ctx, Mode: mode})
	c.tx.Behind = behind
	c.tx.Put(events)
	return c.commitOwn(ctx, false)
}

// unwritten gives up events of which nothing is written. In best effort they are lost.
func (c *conn) unwritten(events []hooks.Event, mode hooks.Mode, behind bool, err error) committed {
	if mode == hooks.BestEffort {
		c.db.handler.lose(events, err)
		return committed{outcome: hooks.Committed}
	}
	if !behind {
		c.tx.RolledBack(events)
	}
	return committed{err: err, outcome: hooks.RolledBack}
}

// publish hands over events that no transaction holds, where there is no journal.
func (c *conn) publish(ctx context.Context, events []hooks.Event, mode hooks.Mode, behind bool) committed {
	r := txn.NewRecord(c.db.txns, mode)
	r.Put(events)
	if state, err := c.flush(ctx, r, events, flushing{must: true, own: true, alone: true}); state == flushFailed {
		return c.unwritten(events, mode, behind, err)
	}
	c.tx.EndOf(r, hooks.Committed)
	return committed{outcome: hooks.Committed}
}

// commitOwn commits a transaction that the driver began. Where SQLite leaves it
// open after a COMMIT that failed, it is rolled back. brief says that the COMMIT is a
// part of the app's statement, which ends with its context.
func (c *conn) commitOwn(ctx context.Context, brief bool) committed {
	e := c.ownEnding(ctx)
	e.own = true
	if brief && c.is.local {
		// SQLite may wait for readers there. A COMMIT that was stopped leaves the
		// transaction open, which is asked.
		e.run = func() error { return c.opt.simple(ctx, "COMMIT") }
	}
	did := c.commit(ctx, e)
	if did.err == nil || !did.open {
		return did
	}
	back := c.rolledBack(ctx, e.undo())
	back.err = did.err
	return back
}

// execOutlasting executes a statement that begins or ends a transaction of the driver's, or
// ends one that must not be left open, even if the app's context ends: see outlast.
func (c *conn) execOutlasting(ctx context.Context, query string, limit time.Duration) error {
	ctx, cancel := c.own.outlast(ctx, limit)
	defer cancel()
	return c.opt.simple(ctx, query)
}

func (c *conn) rollback(ctx context.Context) error {
	return c.execOutlasting(ctx, "ROLLBACK", c.db.reg.cfg.writeTimeout)
}

// ownEnding ends a transaction that the driver began by a raw BEGIN.
func (c *conn) ownEnding(ctx context.Context) ending {
	return ending{
		run:  func() error { return c.execOutlasting(ctx, "COMMIT", 0) },
		undo: func() error { return c.rollback(ctx) },
	}
}

// notBad hides driver.ErrBadConn: database/sql would execute the statement
// again, although it may have taken effect.
type notBad struct{ err error }

// Error is that of the hidden error.
func (e *notBad) Error() string { return e.err.Error() }

// As finds what the hidden error can be taken for; Is finds nothing in it.
func (e *notBad) As(target any) bool {
	return errors.As(e.err, target)
}

// badConn is an error that has database/sql try again on another connection: this
// one was lost while it was prepared, by a timeout of the server's for instance, and
// nothing of the app's has been sent on it.
type badConn struct{ error }

func (e *badConn) Unwrap() error { return e.error }

// Is adds ErrBadConn to what the error is.
func (e *badConn) Is(target error) bool { return target == driver.ErrBadConn }
