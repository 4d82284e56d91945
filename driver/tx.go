package driver

import (
	"context"
	"database/sql/driver"

	"github.com/ngrok/sqlmw"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// BeginTx goes through sqlmw, which carries BeginTx, Commit and Rollback to
// interceptor and inner; everything else reaches conn directly.
func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if c.alert {
		if err := c.calm(ctx); err != nil {
			return nil, err
		}
	}
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	return c.mw.BeginTx(ctx, opts)
}

// inner is the connection that sqlmw wraps.
type inner struct{ *conn }

var _ driver.ConnBeginTx = inner{}

// BeginTx begins on the base connection and follows the transaction.
func (i inner) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	c := i.conn
	inside := c.tx.Open() // a raw BEGIN, which pgx takes for its own
	if inside && !c.is.beginCommits {
		if err := c.beforeUnseen(ctx); err != nil {
			return nil, err
		}
	}
	tx, err := c.opt.begin(ctx, opts)
	if c.is.beginCommits {
		c.begun(ctx, err)
		inside = false
	}
	if err != nil {
		return nil, err
	}
	if inside {
		c.recheck(ctx)
	}
	if !c.tx.Open() {
		c.start(ctx)
		c.tx.BegunReadOnly = opts.ReadOnly
	}
	c.handle = txHandle{c: c, base: tx, ctx: ctx}
	return &c.handle, nil
}

// txHandle is the driver.Tx of the transaction that database/sql began. The
// server may have left that transaction since, by a raw COMMIT for instance;
// what Commit means then is the base driver's to say.
type txHandle struct {
	c    *conn
	base driver.Tx
	ctx  context.Context // BeginTx's, for what it says of the actor; nil once the Tx is done
}

// Commit and Rollback are called only where the interceptor is bypassed.
func (h *txHandle) Commit() error   { return h.commit(context.Background()) }
func (h *txHandle) Rollback() error { return h.rollback(context.Background()) }

// interceptor is what sqlmw calls. It needs the context of BeginTx, which
// driver.Tx does not have.
type interceptor struct{ sqlmw.NullInterceptor }

// TxCommit commits with the values of BeginTx's context.
func (interceptor) TxCommit(ctx context.Context, tx driver.Tx) error {
	return tx.(*txHandle).commit(ctx)
}

// TxRollback rolls back.
func (interceptor) TxRollback(ctx context.Context, tx driver.Tx) error {
	return tx.(*txHandle).rollback(ctx)
}

func (h *txHandle) commit(ctx context.Context) error {
	c := h.c
	defer h.done()
	if c.tx.Suspected() {
		c.recheck(ctx)
	}
	c.captureContexts()
	if !c.tx.Open() || c.tx.IsEmpty() && c.tx.Broken() == nil { // nothing to write or to report
		c.clearMark(ctx)
		err := h.base.Commit()
		if c.tx.Open() && (err == nil || !c.stillOpen(ctx, err)) {
			c.end(hooks.Unknown)
		}
		c.deliver(ctx)
		return err
	}
	did := c.commit(ctx, ending{
		run:   h.base.Commit,
		undo:  h.base.Rollback,
		joins: c.committer != nil,
	})
	c.deliver(ctx)
	return did.err
}

func (h *txHandle) rollback(ctx context.Context) error {
	c := h.c
	defer h.done()
	if c.tx.Suspected() {
		c.recheck(ctx)
	}
	c.beforeRollback(ctx)
	err := h.base.Rollback()
	if c.tx.Open() {
		c.rolledBack(ctx, err)
	}
	c.deliver(ctx)
	return err
}

// done lets go of BeginTx's context: database/sql uses a Tx no more after either
// end of it.
func (h *txHandle) done() { h.ctx = nil }
