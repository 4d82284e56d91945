package driver

import (
	"context"
	"errors"

	"github.com/go-aftercommit/aftercommit/driver/internal/txn"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// deliver reports to the handler, and then to the functions, how transactions ended.
// While the connection is in the next one, or rows are open on it, it waits:
// the handler may use the connection.
func (c *conn) deliver(ctx context.Context) {
	if c.tx.Open() || c.streams > 0 || !c.tx.HasNews() {
		return
	}
	if ctx.Done() != nil {
		ctx = context.WithoutCancel(ctx)
	}
	if !c.bad { // else they are lost when it is closed
		if late := c.tx.TakeLate(); len(late) > 0 {
			_ = c.writeBehind(ctx, late, hooks.BestEffort)
		}
	}
	ended := c.tx.TakeEnded()
	for i := range ended {
		c.reportEnd(ctx, &ended[i], !c.bad)
	}
	c.tx.GiveBack(ended)
}

// errConnGone is for events that were to be written after the end of their transaction.
var errConnGone = errors.New("driver: the connection was lost or closed after a transaction that wrote nothing, before its audit events could be written")

// reportEnd reports how a transaction has ended. usable says that the handler may use the
// connection.
func (c *conn) reportEnd(ctx context.Context, t *txn.Ended, usable bool) {
	outcome := t.Outcome
	if len(t.Events) > 0 {
		outcome = c.callEnd(ctx, t, usable)
	}
	c.db.handler.callFuncs(t.Funcs, outcome)
}

// callEnd reports an end to the handler, which it lends the connection if that is usable. It
// returns the outcome as the handler has found it.
func (c *conn) callEnd(ctx context.Context, t *txn.Ended, usable bool) hooks.Outcome {
	e := hooks.Ended{Outcome: t.Outcome, Events: t.Events, Writes: t.Writes, Tx: t.Tx, Prepared: t.Prepared, MaybeWriteFree: t.MaybeFree}
	if usable && t.Outcome != hooks.RolledBack {
		if t.Outcome == hooks.Unknown { // on SQLite the handler finds out by the write lock
			defer c.db.dialect.writable(ctx, c)()
		}
		l := c.lend(loanIdle)
		defer func() { _ = l.revoke(ctx) }()
		e.Conn = l
	}
	return c.db.handler.end(ctx, e)
}

// ready is called before a transaction, or a captured statement outside any. It
// lets the handler prepare the connection, if it has not yet: the mode may have
// been off when it was opened.
func (c *conn) ready(ctx context.Context) error {
	if c.tx.Open() || c.db.reg.modeNow() == hooks.Off {
		return nil
	}
	if !c.prepared {
		if err := c.prepareConn(ctx); err != nil {
			return err
		}
	}
	c.lookForMark(ctx)
	return nil
}

func (c *conn) prepareConn(ctx context.Context) error {
	c.db.dialect.connected(ctx, c)
	l := c.lend(loanIdle)
	l.setup = true
	err := c.db.handler.connect(ctx, l.DB())
	native := l.revoke(ctx)
	if err == nil {
		c.prepared = true
		c.db.dialect.checked(ctx, c)
		return nil
	}
	if c.db.reg.modeNow() == hooks.BestEffort && !c.opt.lostBy(native) {
		c.prepared = true // one notice is enough; the next connection tries again
		c.db.handler.notify(hooks.Notice{Kind: hooks.NoticeFailed, Reason: "connect", Err: err})
		return nil
	}
	if c.opt.lostBy(native) && ctx.Err() == nil {
		return &badConn{err}
	}
	return err
}
