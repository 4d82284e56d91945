package driver

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// reshapes reports whether the handler is to be called around j, in its transaction.
func (c *conn) reshapes(ctx context.Context, j *job) bool {
	if !c.mayReshape(j) {
		return false
	}
	if !c.tx.Open() {
		c.mark.asked = time.Time{} // another connection may just have made the table
		c.lookForMark(ctx)
	}
	return c.mark.there
}

// mayReshape reports whether j is DDL of the main database for which there is a handler.
func (c *conn) mayReshape(j *job) bool {
	if !c.is.marks || c.mode() == hooks.Off || len(j.stmts) != 1 || c.nested() {
		return false
	}
	s := &j.stmts[0]
	if s.Kind != lex.Schema || s.NoBlock || s.Temporary || !c.mayWriteMain(j) {
		return false
	}
	_, ok := c.db.handler.hook.(hooks.Reshaper)
	return ok
}

// doReshaping is j.do, with what the handler has to do around it.
func (c *conn) doReshaping(ctx context.Context, j *job) (answer, error) {
	if !c.reshapes(ctx, j) {
		a, err := j.do(ctx)
		if err == nil && a.rows == nil && c.mayReshape(j) && c.appeared(ctx) {
			c.reshape(ctx, hooks.Reshaper.AfterSchema)
		}
		return a, err
	}
	// Of the others that may be among these, none is harmed by it.
	if s := &j.stmts[0]; s.Verb == "ALTER TABLE" && s.To.Name == "" && len(s.Tables) == 1 {
		// The handler reads first. SQLite lets the first write of a transaction wait for the lock, but not one
		// behind a read.
		if err := c.putMark(ctx); err != nil {
			return answer{}, err
		}
		table := s.Tables[0].Name
		c.reshape(ctx, func(r hooks.Reshaper, ctx context.Context, conn *sql.DB) error {
			return r.BeforeSchema(ctx, conn, table)
		})
	}
	a, err := j.do(ctx)
	if err == nil && a.rows != nil { // some drivers execute it only while rows are read
		a.rows, err = drainControl(a.rows)
	}
	c.reshape(ctx, hooks.Reshaper.AfterSchema)
	return a, err
}

// appeared looks for the table of marks behind DDL in a transaction: it may have been made since the connection looked
// last, and before the DDL a look would have begun the transaction as a reading one.
func (c *conn) appeared(ctx context.Context) bool {
	if !c.tx.Open() || c.tx.Implicit { // just looked
		return false
	}
	n, known := c.own.number(ctx, markLook)
	c.mark.there = known && n == 1
	return c.mark.there
}

func (c *conn) reshape(ctx context.Context, call func(r hooks.Reshaper, ctx context.Context, conn *sql.DB) error) {
	ctx, cancel := c.own.unhurried(context.WithoutCancel(ctx))
	defer cancel()
	l := c.lend(loanFlush)
	err := c.db.handler.reshape(func(r hooks.Reshaper) error { return call(r, ctx, l.DB()) })
	if native := l.revoke(ctx); err == nil {
		err = native
	}
	if err != nil {
		c.db.handler.notify(hooks.Notice{Kind: hooks.NoticeFailed, Reason: "schema", Err: err})
	}
}

func (h *handler) reshape(call func(hooks.Reshaper) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("driver: the hook panicked around a change of the schema: %v", v)
		}
	}()
	return call(h.hook.(hooks.Reshaper))
}
