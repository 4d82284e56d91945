package driver

import (
	"context"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/driver/internal/txn"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// A witness is a setting that lasts as long as the transaction does. If it is
// still there after something that may have ended the transaction unseen, then
// it is the same one. A savepoint would do on SQLite too, but its RELEASE would
// take the app's own savepoints along.
//
// Its value is the same in all transactions: pg_stat_statements keeps an entry for each value
// of a SET, and these would drive out the app's statements.
const (
	witnessSet  = "SET LOCAL aftercommit.witness = 'here'"
	witnessTest = guardStrict + "SELECT 1 WHERE pg_catalog.current_setting('aftercommit.witness', true) OPERATOR(pg_catalog.=) 'here'"
)

// beforeUnseen writes what is buffered, so that the database itself keeps it or
// drops it, and sets the witness. An error means that strict mode forbids to go
// on.
func (c *conn) beforeUnseen(ctx context.Context) error {
	if !c.tx.Open() || !c.is.journaled { // where nothing can be written before
		return nil
	}
	c.clearMark(ctx)
	ctx, cancel := c.own.unhurried(ctx)
	defer cancel()
	c.captureContexts()
	if events := c.tx.Pending(); len(events) > 0 && c.tx.Mode != hooks.Off {
		if err := c.flushEarly(ctx, events); err != nil {
			return err
		}
	}
	if !c.tx.IsEmpty() && c.is.settingWitness {
		err := c.own.simple(ctx, witnessSet)
		if err != nil && c.db.dialect.stateOf(err) == stateUnknown {
			return err
		}
	}
	return nil
}

// flushEarly writes events before the end. A read-only transaction keeps them
// buffered.
func (c *conn) flushEarly(ctx context.Context, events []hooks.Event) error {
	keep := c.tx.Mode == hooks.BestEffort
	state, err := c.flush(ctx, &c.tx.Record, events, flushing{keep: keep})
	if state == flushLate && onlyContexts(events) {
		c.tx.TakePending()
		return nil
	}
	if state == flushLate {
		keep = true
		if state, err = c.insist(ctx, false); state == flushLate {
			return nil
		}
	}
	if state == flushFailed {
		if c.tx.Mode == hooks.Strict {
			return err
		}
		c.db.handler.lose(c.tx.TakePending(), err)
	}
	if state == flushProven && c.is.joins && keep {
		return c.own.simple(ctx, guardDrop)
	}
	return nil
}

// beforeReadOnly writes what is buffered before a statement that may make the
// transaction read-only, if it has written: afterwards it would be too late. One
// that has not keeps its events for the time after its COMMIT.
func (c *conn) beforeReadOnly(ctx context.Context) error {
	// A function may have written unseen, but not so that events which can wait need not.
	perhaps := c.tells && c.is.procedures && c.tx.IsEmpty()
	if !c.tx.Open() || !c.tx.Wrote && !perhaps || c.tx.Mode == hooks.Off || !c.is.journaled {
		return nil
	}
	c.captureContexts()
	events := c.tx.Pending()
	if len(events) == 0 {
		return nil
	}
	ctx, cancel := c.own.unhurried(ctx)
	defer cancel()
	return c.flushEarly(ctx, events)
}

// checkWitness reports whether this is still the transaction in which the witness was
// set. Where none was set, it reports whether there is a transaction at all.
func (c *conn) checkWitness(ctx context.Context) txn.Witness {
	ctx, cancel := c.own.unhurried(ctx)
	defer cancel()
	if !c.tx.IsEmpty() && c.is.settingWitness && c.own.execs() {
		res, err := c.own.exec(ctx, witnessTest, nil)
		if err != nil {
			return witnessOf(c.db.dialect.stateOf(err))
		}
		if n, err := res.RowsAffected(); err == nil && n == 1 {
			return txn.Same
		}
		return txn.Other
	}
	return witnessOf(c.session.probe(ctx))
}

// unseen runs a string of several statements of which some control
// transactions.
func (c *conn) unseen(ctx context.Context, j *job) (answer, error) {
	stmts := slices.Clone(j.stmts)
	if err := c.goBack(ctx, stmts); err != nil {
		return answer{}, err
	}
	if err := c.beforeUnseen(ctx); err != nil {
		return answer{}, err
	}
	c.uncaptured(countWrites(stmts), "several_statements")
	a, err := j.do(ctx)
	c.catalog.forget()
	defer c.noteUnseen(ctx, stmts, j.text) // in the transaction that is open then
	if err == nil && a.rows != nil {
		// The server may still be executing while rows are read, so it is
		// asked before the next use.
		c.askBeforeUse(stmts)
		return a, nil
	}
	c.follow(ctx, stmts, err)
	c.deliver(ctx)
	return a, err
}

// goBack goes back to a savepoint before the string that begins by that and then
// ends the transaction: what is written before it would be undone by it, or, if
// the transaction has failed, could not be written. The savepoint is set again
// for the string to find.
func (c *conn) goBack(ctx context.Context, stmts []lex.Statement) error {
	if !c.tx.GoesBackFirst(stmts) {
		return nil
	}
	s := &stmts[0]
	ctx, cancel := c.own.unhurried(ctx)
	defer cancel()
	name := `"` + strings.ReplaceAll(s.Name, `"`, `""`) + `"`
	if err := c.opt.simple(ctx, "ROLLBACK TO SAVEPOINT "+name+"; RELEASE SAVEPOINT "+name); err != nil {
		return err
	}
	c.applySavepoint(s)
	c.tx.Release(s.Name)
	if err := c.beforeUnseen(ctx); err != nil {
		return err
	}
	if err := c.opt.simple(ctx, "SAVEPOINT "+name); err != nil {
		return err
	}
	c.tx.Savepoint(s.Name)
	return nil
}

// follow brings the connection's state in line after a string that was, or was
// not, executed to its end.
func (c *conn) follow(ctx context.Context, stmts []lex.Statement, err error) {
	c.mark.doubt()
	if c.defersAsking() {
		return
	}
	w := c.checkWitness(ctx)
	how := txn.Whole
	switch {
	case err != nil && judge(err) == hooks.RolledBack && !mayBeOfCommit(err):
		how = txn.NotEnds
	case err != nil:
		how = txn.Failed
	}
	c.applyChanges(c.tx.Ran(c.starting(ctx), stmts, how, w), err)
}

// askBeforeUse notes that something may have happened out of sight, by stmts if
// they are known, so that the server is asked before the next use.
func (c *conn) askBeforeUse(stmts []lex.Statement) {
	c.tx.Suspect(stmts)
	c.alert = true
}

// recheck is called before the next use of a connection on which something may have happened
// unseen. It asks the server which transaction is open, unless the mode defers that.
func (c *conn) recheck(ctx context.Context) {
	if !c.defersAsking() {
		c.recheckNow(ctx)
	}
}

// recheckNow is recheck in every mode.
func (c *conn) recheckNow(ctx context.Context) {
	if !c.tx.Suspected() {
		return
	}
	if c.is.savepointWitness {
		c.tx.Trust()
		c.settle(ctx, false, nil)
		c.deliver(ctx)
		return
	}
	c.believe(ctx, c.checkWitness(ctx))
}

// believe brings the connection's state in line with what the server said of it.
func (c *conn) believe(ctx context.Context, w txn.Witness) {
	c.alert = c.bad
	c.mark.doubt()
	c.catalog.forget()
	c.applyChanges(c.tx.Believe(c.starting(ctx), w), nil)
	c.deliver(ctx)
}

// uncaptured reports writes that capture cannot look into.
func (c *conn) uncaptured(n int, reason string) {
	if n > 0 && c.db.reg.cfg.rules != nil && c.mode() != hooks.Off {
		c.db.handler.notify(hooks.Notice{Kind: hooks.NoticeUncaptured, Count: n, Reason: reason})
	}
}
