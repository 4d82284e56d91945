package driver

import (
	"context"
	"errors"
	"slices"

	"github.com/go-aftercommit/aftercommit/hooks"
)

var errBusy = errors.New("driver: rows are open on this connection, so the savepoint for its first audit event cannot be set: read the rows to their end, or close them, before you record")

// setWitness sets the witness before the first event, or function, of a transaction.
func (c *conn) setWitness(ctx context.Context) error {
	t := &c.tx
	if !c.mysql() || !c.open || t.witness > 0 {
		return nil
	}
	if c.reading > 0 {
		return errBusy
	}
	ctx, cancel := c.unhurried(ctx)
	defer cancel()
	if err := c.simple(ctx, mysqlWitnessSet); err != nil {
		return err
	}
	t.witness = len(t.marks) + 1
	return nil
}

// witnessAfter sets the witness after a statement before which nothing may be sent,
// and reports whether there is one. Without it the statement is not captured: while
// its rows are open none can be set.
func (c *conn) witnessAfter(ctx context.Context, j *job, a answer) bool {
	if !c.mysql() || !j.blind || c.tx.witness > 0 {
		return true
	}
	if a.rows == nil && c.setWitness(ctx) == nil {
		return true
	}
	c.uncaptured(countWrites(j.stmts), "opaque")
	return false
}

// keepWitness follows what a RELEASE or ROLLBACK TO of the savepoint at an index has
// done to the witness: MySQL forgets all savepoints behind that. If there are events
// from before, the witness is set again: the transaction lives.
func (c *conn) keepWitness(ctx context.Context, mark int) {
	t := &c.tx
	if t.witness <= mark+1 {
		return
	}
	t.witness = 0
	if len(t.items) > 0 {
		_ = c.setWitness(ctx) // without one the events are Unknown
	}
}

// provesMySQL reports whether the transaction is the one that its events belong
// to.
func (c *conn) provesMySQL(ctx context.Context) bool {
	t := &c.tx
	ctx, cancel := c.unhurried(ctx)
	defer cancel()
	t.witness = 0
	if c.simple(ctx, mysqlWitnessTest) != nil {
		return false
	}
	t.unseen = false
	return true
}

// beforeRollback asks the witness, after something unseen, whether it is this
// transaction that a ROLLBACK ends.
func (c *conn) beforeRollback(ctx context.Context) {
	if c.mysql() && c.open && c.tx.unseen && c.tx.witness > 0 && c.reading == 0 {
		c.provesMySQL(ctx)
	}
}

// flushMySQL hands the events of a transaction to the handler before its COMMIT.
func (c *conn) flushMySQL(ctx context.Context) (flushState, error) {
	t := &c.tx
	events := t.events(t.flushed)
	if len(events) == 0 && !t.callbacks() {
		return flushNothing, nil
	}
	if !t.own && !c.provesMySQL(ctx) {
		return flushGone, nil
	}
	if len(events) == 0 {
		return flushProven, nil
	}
	return c.flush(ctx, events, flushing{must: t.own})
}

// failedMySQL looks after a statement that failed whether the transaction went
// with it. The server has then begun another one.
func (c *conn) failedMySQL(ctx context.Context, err error) {
	t := &c.tx
	n := mysqlNumber(err)
	if !c.open || n == 0 || len(t.items) == 0 && t.witness == 0 {
		return
	}
	gone, known := c.rolledBackBy(ctx, n)
	switch {
	case !known:
		t.unseen = true // the witness decides
	case gone:
		began := t.ctx
		c.end(hooks.RolledBack)
		if c.probe(ctx) == stateOpen {
			c.start(began)
		}
		c.deliver(ctx)
	}
}

// rolledBackBy reports whether an error of that number has rolled back the whole
// transaction.
func (c *conn) rolledBackBy(ctx context.Context, n int) (gone, known bool) {
	if rollsBack(n) {
		return true, true
	}
	if c.reading > 0 {
		return false, false
	}
	if in, ok := c.inTransaction(ctx); ok {
		return !in, true
	}
	if n != lockWaitTimeout {
		return false, true
	}
	on, ok := c.number(ctx, "SELECT @@innodb_rollback_on_timeout")
	return on != 0, ok
}

// inTransaction asks MariaDB, which knows, whether a transaction is open. It leaves
// the app's warnings as they are.
func (c *conn) inTransaction(ctx context.Context) (in, known bool) {
	if c.db.noInTransaction.Load() {
		return false, false
	}
	ctx, cancel := c.unhurried(ctx)
	defer cancel()
	err := c.read(ctx, "SELECT @@in_transaction", nil, func(row []string) { in, known = row[0] == "1", true })
	if mysqlNumber(err) == unknownVariable {
		c.db.noInTransaction.Store(true)
	}
	return in, known && err == nil
}

// replace forgets the savepoint at an index: MySQL drops the one whose name
// another gets.
func (t *txn) replace(i int) {
	if i < 0 {
		return
	}
	t.marks = slices.Delete(t.marks, i, i+1)
}
