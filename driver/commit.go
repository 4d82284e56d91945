package driver

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// ending is one way to end a transaction: Tx.Commit, a raw COMMIT, PREPARE
// TRANSACTION, the COMMIT of a transaction of the driver's own.
type ending struct {
	run      func() error // the COMMIT itself
	undo     func() error // a ROLLBACK, for when the events cannot be written
	prepares bool
	chains   bool // the next transaction begins with the end of this one
}

// commit writes what is buffered, runs the COMMIT and judges its answer. The
// error is the COMMIT's own, unless the events could not be written.
func (c *conn) commit(ctx context.Context, e ending) error {
	t := &c.tx
	state, flushErr := c.flushBeforeEnd(ctx)
	if state == flushLate && (e.prepares || e.chains || t.wrote) {
		state, flushErr = c.insist(ctx)
		if state == flushLate && e.prepares {
			// It may yet be rolled back, by anybody, so it cannot be after it.
			state = flushFailed
		}
	}
	var late, lost []hooks.Event
	switch state {
	case flushFailed:
		if t.mode == hooks.Strict {
			c.rolledBack(ctx, e.undo())
			return flushErr
		}
		lost = c.takeUnflushed()
	case flushLate:
		late = c.takeUnflushed()
	}
	err := flushErr
	if state != flushEnded {
		err = e.run()
	}
	switch {
	case state == flushGone:
		if !c.mysql() { // where nothing says what became of them
			c.dropUnflushed()
		}
		c.end(hooks.Unknown)
	case state == flushAborted:
		c.end(hooks.RolledBack)
	case err != nil && c.stillOpen(ctx, err):
		c.putBack(append(late, lost...))
		return err
	default:
		c.lose(lost, flushErr)
		c.endAfter(err, state != flushNothing, e)
	}
	if c.lostBy(err) {
		c.discard()
	}
	switch {
	case err == nil && len(late) > 0 && e.chains:
		c.late = append(c.late, late...) // until there is room between transactions
		return nil
	case err == nil && len(late) > 0:
		return c.writeLate(ctx, late)
	}
	c.dropLate(late, err)
	return err
}

// dropLate gives up the events of a write-free transaction whose COMMIT answered err. If
// it may have committed all the same, no row would ever show that.
func (c *conn) dropLate(late []hooks.Event, err error) {
	switch {
	case len(late) == 0:
	case judge(err) == hooks.RolledBack:
		c.ended = append(c.ended, part{outcome: hooks.RolledBack, events: late})
	default:
		c.lose(late, err)
	}
}

// endAfter ends the transaction by what its COMMIT answered.
func (c *conn) endAfter(err error, proven bool, e ending) {
	outcome, prepares := judge(err), e.prepares
	if s, known := c.status(); known && outcome == hooks.Committed && s != stateIdle && !e.chains {
		outcome = hooks.Unknown // the connection says that nothing has ended
		c.discard()
	}
	if outcome == hooks.Committed && !proven && c.tx.flushed > 0 {
		outcome = hooks.Unknown // written earlier; the rows decide
	}
	if prepares && outcome == hooks.Committed {
		outcome = hooks.Unknown
	} else {
		prepares = false
	}
	if p := c.end(outcome); p != nil {
		p.prepared = prepares
	}
}

// judge says what the answer to a COMMIT proves. Only a server that answered
// with an error of its own, and lived on, has surely rolled back.
func judge(err error) hooks.Outcome {
	if err == nil {
		return hooks.Committed
	}
	state := hooks.SQLState(err)
	if len(state) != 5 {
		return hooks.Unknown
	}
	switch state[:2] {
	case "08", "57", "58", "XX", "F0":
		if state == "57014" { // query_canceled
			return hooks.RolledBack
		}
		return hooks.Unknown
	}
	if state == "40003" { // statement_completion_unknown
		return hooks.Unknown
	}
	return hooks.RolledBack
}

// lostBy reports whether err says that the connection is of no more use.
func (c *conn) lostBy(err error) bool {
	if err == nil {
		return false
	}
	if errors.Is(err, driver.ErrBadConn) {
		return true
	}
	if !c.sqlite() && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return true // there is an answer to come
	}
	if v, ok := c.base.(driver.Validator); ok {
		return !v.IsValid()
	}
	return false
}

// stillOpen reports whether the transaction outlived a COMMIT that failed with
// err, as it may on SQLite (SQLITE_BUSY, a deferred foreign key), and on
// PostgreSQL if the COMMIT never left the driver (lib/pq with rows open).
func (c *conn) stillOpen(ctx context.Context, err error) bool {
	if c.postgres() && (hooks.SQLState(err) != "" || c.lostBy(err)) || c.mysql() && c.lostBy(err) {
		return false
	}
	if c.leaves() {
		return true // as far as is known
	}
	switch c.probe(ctx) {
	case stateOpen, stateAborted:
		return true
	case stateLost:
		c.askBeforeUse(nil)
	}
	return false
}

// rolledBack ends the transaction after a ROLLBACK that answered err.
func (c *conn) rolledBack(ctx context.Context, err error) {
	if err != nil && !c.lostBy(err) {
		if c.leaves() {
			return
		}
		switch c.probe(ctx) {
		case stateOpen, stateAborted:
			return // still in it
		case stateIdle:
			if c.tx.flushed > 0 {
				c.end(hooks.Unknown) // it ended before, somehow
				return
			}
		case stateLost:
			return // it cannot be asked, as with rows open on lib/pq, but it lives
		}
	}
	if c.lostBy(err) {
		c.discard()
	}
	c.end(hooks.RolledBack)
}

// lose reports events that could not be written, of what has committed all the same.
func (c *conn) lose(events []hooks.Event, err error) {
	if len(events) == 0 {
		return
	}
	c.db.notify(hooks.Notice{Kind: hooks.NoticeLost, Events: ids(events), Count: len(events), Reason: "write_failed", Err: err})
}

// takeUnflushed removes the events that are not written from the transaction;
// functions stay.
func (c *conn) takeUnflushed() []hooks.Event {
	t := &c.tx
	events := t.events(t.flushed)
	kept := t.items[:t.flushed]
	for _, it := range t.items[t.flushed:] {
		if !it.isEvent() {
			kept = append(kept, it)
		}
	}
	clear(t.items[len(kept):])
	t.items, t.flushed = kept, len(kept)
	return events
}

// putBack undoes takeUnflushed for a transaction that goes on.
func (c *conn) putBack(events []hooks.Event) {
	for _, e := range events {
		c.tx.items = append(c.tx.items, item{event: e})
	}
}

// dropUnflushed tells that unwritten events went with a transaction that had
// ended before anybody saw it.
func (c *conn) dropUnflushed() {
	if events := c.takeUnflushed(); len(events) > 0 {
		c.ended = append(c.ended, part{outcome: hooks.RolledBack, events: events})
	}
}

// writeLate writes the events of a transaction that wrote nothing itself, after
// its COMMIT, in one of their own.
func (c *conn) writeLate(ctx context.Context, events []hooks.Event) error {
	mode := c.tx.mode
	ctx, cancel := c.afterwards(ctx)
	defer cancel()
	err := c.writeBehind(ctx, events, mode)
	if err == nil {
		return nil
	}
	return &notBad{fmt.Errorf("driver: the transaction has committed, having written nothing, but its audit events could not be written after it: %w", err)}
}

// writeBehind is writeOwn for events of what has committed already: those that are not
// written are lost. That is no error in best effort.
func (c *conn) writeBehind(ctx context.Context, events []hooks.Event, mode hooks.Mode) error {
	before := len(c.ended)
	err := c.writeOwn(ctx, events, mode)
	switch {
	case len(c.ended) > before:
		if c.ended[before].outcome == hooks.RolledBack {
			c.ended = c.ended[:before]
			c.lose(events, err)
		}
	case err != nil && mode == hooks.Strict: // best effort has reported it
		c.lose(events, err)
	}
	if mode == hooks.BestEffort {
		return nil
	}
	return err
}

// writeOwn writes events in a transaction that exists for them. If that is rolled back,
// or cannot begin, it is among those that have ended; but not if the connection is lost
// before anything has happened, so that database/sql tries again on another one.
func (c *conn) writeOwn(ctx context.Context, events []hooks.Event, mode hooks.Mode) error {
	if c.mysql() {
		return c.publish(ctx, events, mode)
	}
	if err := c.lastly(ctx, c.beginOwn(), 0); err != nil {
		return c.unbegun(events, mode, err)
	}
	c.start(ctx)
	c.tx.own, c.tx.mode = true, mode
	for _, e := range events {
		c.tx.items = append(c.tx.items, item{event: e})
	}
	err := c.commitOwn(ctx)
	if errors.Is(err, driver.ErrBadConn) && len(c.ended) > 0 && c.ended[len(c.ended)-1].outcome != hooks.RolledBack {
		return &notBad{err}
	}
	return err
}

// unbegun reports events whose own transaction could not begin. It returns what writeOwn
// does.
func (c *conn) unbegun(events []hooks.Event, mode hooks.Mode, err error) error {
	if mode == hooks.Strict && errors.Is(err, driver.ErrBadConn) {
		return err
	}
	c.db.notify(hooks.Notice{Kind: hooks.NoticeFailed, Events: ids(events), Count: len(events), Reason: "journal", Err: err})
	if mode == hooks.BestEffort {
		c.lose(events, err)
		return nil
	}
	c.ended = append(c.ended, part{outcome: hooks.RolledBack, events: events})
	return err
}

// publish hands over events that no transaction holds, on MySQL.
func (c *conn) publish(ctx context.Context, events []hooks.Event, mode hooks.Mode) error {
	c.start(ctx)
	c.tx.own, c.tx.mode = true, mode
	for _, e := range events {
		c.tx.items = append(c.tx.items, item{event: e})
	}
	state, err := c.flushBeforeEnd(ctx)
	if state == flushFailed {
		if mode == hooks.BestEffort {
			c.lose(c.takeUnflushed(), err)
			err = nil
		}
		c.end(hooks.RolledBack)
		return err
	}
	c.end(hooks.Committed)
	return nil
}

func (c *conn) beginOwn() string {
	if c.postgres() {
		return beginApart
	}
	return "BEGIN" // writing to the journal is the first thing that takes a lock
}

// commitOwn commits a transaction that the driver began. Where SQLite leaves it
// open after a COMMIT that failed, it is rolled back.
func (c *conn) commitOwn(ctx context.Context) error {
	e := c.ownEnding(ctx)
	err := c.commit(ctx, e)
	if err != nil && c.open {
		c.rolledBack(ctx, e.undo())
	}
	return err
}

// lastly executes what ends a transaction of the driver's own, or one that must not
// be left open.
func (c *conn) lastly(ctx context.Context, query string, limit time.Duration) error {
	ctx, cancel := c.outlast(ctx, limit)
	defer cancel()
	return c.word(ctx, query)
}

func (c *conn) rollback(ctx context.Context) error {
	return c.lastly(ctx, "ROLLBACK", c.db.reg.cfg.writeTimeout)
}

// ownEnding ends a transaction that the driver began by a raw BEGIN.
func (c *conn) ownEnding(ctx context.Context) ending {
	return ending{
		run: func() error {
			// SQLite may wait for readers there. A COMMIT that was stopped leaves the
			// transaction open, which is asked.
			if c.sqlite() && c.tx.brief {
				return c.word(ctx, "COMMIT")
			}
			return c.lastly(ctx, "COMMIT", 0)
		},
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
