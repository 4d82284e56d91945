package driver

import (
	"context"
	"database/sql/driver"
	"errors"

	"github.com/go-aftercommit/aftercommit/driver/internal/txn"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// errUnasked is no ErrBadConn: nothing is wrong with the app's transaction.
var errUnasked = errors.New("driver: rows are open on this connection, so the server cannot be asked which transaction it is in (necessary after a statement that may have ended one, and for OnCommit and OnRollback while the mode is off): read the rows to their end, or close them, and try again")

// catchUp asks the server, in the mode off, which transaction is open, so that a function
// of OnCommit or OnRollback can wait for its end: until now it was not asked.
func (c *conn) catchUp(ctx context.Context) error {
	switch {
	case c.bad:
		return driver.ErrBadConn
	case c.is.beginsUnseen && (c.tx.Suspected() || !c.tx.Open()): // where a transaction may begin unseen
		if c.session.reading > 0 {
			return errUnasked
		}
		c.askBeforeUse(nil)
		c.asks = true
		c.recheckNow(ctx)
		c.asks = false
	case c.tx.Suspected():
		if err := c.recheckOrRefuse(ctx); err != nil {
			return err
		}
	}
	if c.bad {
		return driver.ErrBadConn
	}
	return nil
}

// recheckOrRefuse is recheckNow, but returns an error where open rows keep the server from
// being asked: giving the connection up would cost the app its rows and the transaction.
func (c *conn) recheckOrRefuse(ctx context.Context) error {
	_, known := c.own.status()
	if (!known || !c.tx.IsEmpty()) && isBusy(c.own.conn) {
		return errUnasked // before pgx takes the result away from the rows
	}
	w := c.checkWitness(ctx)
	if w == txn.Lost && c.is.openRowsRefuse && c.opt.alive() {
		return errUnasked // which lib/pq says only when it is asked
	}
	c.believe(ctx, w)
	return nil
}

// defersAsking reports whether to ask the server nothing now, because the mode is off and
// there is no event that could be lost. If so, it sees to it that the server is asked before
// the first use in another mode.
func (c *conn) defersAsking() bool {
	if c.asks || c.db.reg.modeNow() != hooks.Off || c.tx.Open() && (c.tx.Mode != hooks.Off || !c.tx.IsEmpty()) {
		return false
	}
	c.askBeforeUse(nil)
	return true
}
