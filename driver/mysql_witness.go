package driver

import (
	"context"
	"errors"

	"github.com/go-aftercommit/aftercommit/hooks"
)

var errBusy = errors.New("driver: rows are open on this connection, so the savepoint for its first audit event cannot be set: read the rows to their end, or close them, before you record")

// setWitness sets the witness before the first event, or function, of a transaction.
func (c *conn) setWitness(ctx context.Context) error {
	if !c.is.savepointWitness || !c.tx.Open() || c.tx.HasWitness() {
		return nil
	}
	if c.session.reading > 0 {
		return errBusy
	}
	ctx, cancel := c.own.unhurried(ctx)
	defer cancel()
	if err := c.own.simple(ctx, mysqlWitnessSet); err != nil {
		return err
	}
	c.tx.SetWitness()
	return nil
}

// witnessAfter sets the witness after a statement before which nothing may be sent,
// and reports whether there is one. Without it the statement is not captured: while
// its rows are open none can be set.
func (c *conn) witnessAfter(ctx context.Context, j *job, a answer) bool {
	if !c.is.savepointWitness || !j.blind || c.tx.HasWitness() {
		return true
	}
	if a.rows == nil && c.setWitness(ctx) == nil {
		return true
	}
	c.uncaptured(countWrites(j.stmts), "opaque")
	return false
}

// provesWitness reports whether the transaction is the one that its events belong
// to.
func (c *conn) provesWitness(ctx context.Context) bool {
	ctx, cancel := c.own.unhurried(ctx)
	defer cancel()
	there := c.own.simple(ctx, mysqlWitnessTest) == nil
	c.tx.Proven(there)
	return there
}

// beforeRollback asks the witness, after something unseen, whether it is this
// transaction that a ROLLBACK ends.
func (c *conn) beforeRollback(ctx context.Context) {
	if c.is.savepointWitness && c.tx.Open() && c.tx.Unproven && c.tx.HasWitness() && c.session.reading == 0 {
		c.provesWitness(ctx)
	}
}

// flushWitnessed hands the events of a transaction to the handler before its COMMIT.
func (c *conn) flushWitnessed(ctx context.Context) (flushState, error) {
	events := c.tx.Pending()
	switch {
	case len(events) == 0 && !c.tx.HasFuncs():
		return flushNothing, nil
	case !c.provesWitness(ctx):
		return flushGone, nil
	case len(events) == 0:
		return flushProven, nil
	}
	return c.flush(ctx, &c.tx.Record, events, flushing{})
}

// failed finds out whether a statement that failed has ended the transaction. The server has
// then begun another one.
func (mysql) failed(ctx context.Context, c *conn, err error) {
	n := mysqlNumber(err)
	if !c.tx.Open() || n == 0 || c.tx.IsEmpty() && !c.tx.HasWitness() {
		return
	}
	gone, known := c.session.rolledBackBy(ctx, n)
	switch {
	case !known:
		c.tx.Unproven = true // the witness decides
	case gone:
		began := c.tx.Context()
		c.end(hooks.RolledBack)
		if c.session.probe(ctx) == stateOpen {
			c.start(began)
		}
		c.deliver(ctx)
	}
}
