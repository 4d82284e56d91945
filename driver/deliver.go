package driver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/go-aftercommit/aftercommit/driver/internal/txn"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// callbackTime is how long Commit waits for a function of OnCommit or
// OnRollback.
const callbackTime = 5 * time.Second

// deliver tells the handler, and then the functions, how transactions ended.
// While the connection is in the next one, or rows are open on it, it waits:
// the handler may use the connection.
func (c *conn) deliver(ctx context.Context) {
	if c.tx.Open() || c.streams > 0 || !c.tx.HasNews() {
		return
	}
	ctx = context.WithoutCancel(ctx)
	if !c.bad { // else they are lost when it is closed
		if late := c.tx.TakeLate(); len(late) > 0 {
			_ = c.writeBehind(ctx, late, hooks.BestEffort)
		}
	}
	for _, e := range c.tx.TakeEnded() {
		c.tell(ctx, e, !c.bad)
	}
}

// errConnGone is for events that were to be written after the end of their transaction.
var errConnGone = errors.New("driver: the connection was lost or closed after a transaction that wrote nothing, before its audit events could be written")

func (c *conn) tell(ctx context.Context, t txn.Ended, usable bool) {
	outcome := t.Outcome
	if len(t.Events) > 0 {
		outcome = c.callEnd(ctx, t, usable)
	}
	for _, f := range t.Funcs {
		switch {
		case outcome == hooks.Unknown:
			c.db.notify(hooks.Notice{Kind: hooks.NoticeCallback, Count: 1, Reason: "unknown"})
		case outcome == hooks.Committed && f.OnCommit != nil:
			c.callback(f.Ctx, f.OnCommit)
		case outcome == hooks.RolledBack && f.OnRollback != nil:
			c.callback(f.Ctx, f.OnRollback)
		}
	}
}

func (c *conn) callEnd(ctx context.Context, t txn.Ended, usable bool) (outcome hooks.Outcome) {
	e := hooks.Ended{Outcome: t.Outcome, Events: t.Events, Token: t.Token, Earlier: t.Earlier, Prepared: t.Prepared}
	if usable && t.Outcome != hooks.RolledBack {
		if t.Outcome == hooks.Unknown { // on SQLite the handler finds out by the write lock
			defer c.db.dialect.writable(ctx, c)()
		}
		l := c.lend(leaseIdle)
		defer func() { _ = l.revoke(ctx) }()
		e.Conn = l.db
	}
	defer func() {
		if v := recover(); v != nil {
			outcome = t.Outcome
			c.db.notify(hooks.Notice{
				Kind: hooks.NoticeFailed, Events: ids(t.Events), Count: len(t.Events), Reason: "panic",
				Err: fmt.Errorf("driver: the hook panicked after the transaction: %v\n%s", v, debug.Stack()),
			})
		}
	}()
	return c.db.handler.End(ctx, e)
}

// callback runs f beside the caller, so that neither a panic nor a hang of it
// can keep a commit that has happened from returning.
func (c *conn) callback(ctx context.Context, f func(context.Context)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callbackTime)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		defer func() {
			if v := recover(); v != nil {
				done <- fmt.Errorf("driver: a function of OnCommit or OnRollback panicked: %v\n%s", v, debug.Stack())
			}
			close(done)
		}()
		f(ctx)
	}()
	n := hooks.Notice{Kind: hooks.NoticeCallback, Count: 1}
	select {
	case err := <-done:
		if err == nil {
			return
		}
		n.Reason, n.Err = "panic", err
	case <-ctx.Done():
		n.Reason, n.Err = "timeout", errors.New("driver: a function of OnCommit or OnRollback did not return in time and was left behind; "+
			"one that uses the *sql.Conn or *sql.Tx of its transaction waits for the Commit that waits for it: let it use the *sql.DB")
	}
	c.db.notify(n)
}

// ready is called before a transaction, or a captured statement outside any. It
// lets the handler prepare the connection, if it has not yet: the mode may have
// been off when it was opened.
func (c *conn) ready(ctx context.Context) error {
	if c.prepared || c.tx.Open() || c.db.reg.modeNow() == hooks.Off {
		return nil
	}
	return c.prepareConn(ctx)
}

func (c *conn) prepareConn(ctx context.Context) error {
	c.db.dialect.connected(ctx, c)
	l := c.lend(leaseIdle)
	l.setup = true
	err := c.callConnect(ctx, l.db)
	native := l.revoke(ctx)
	if err == nil {
		c.prepared = true
		c.db.dialect.checked(ctx, c)
		return nil
	}
	if c.db.reg.modeNow() == hooks.BestEffort && !c.lostBy(native) {
		c.prepared = true // once told is enough; the next connection tries again
		c.db.notify(hooks.Notice{Kind: hooks.NoticeFailed, Reason: "connect", Err: err})
		return nil
	}
	if c.lostBy(native) && ctx.Err() == nil {
		return &badConn{err}
	}
	return err
}

// callConnect turns a panic of the handler into an error: in database/sql's call of
// Connect it would keep the connection's place in the pool for good.
func (c *conn) callConnect(ctx context.Context, lent *sql.DB) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("driver: the hook panicked while preparing a connection: %v\n%s", v, debug.Stack())
		}
	}()
	return c.db.handler.Connect(ctx, lent)
}
