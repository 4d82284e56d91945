// Package lent is for packages that lend a connection as a *sql.DB. The borrower gets a
// [Conn]; its [Owner] decides what may be done over it, and how.
package lent

import (
	"context"
	"database/sql/driver"
)

// Owner is the side of a loan that has the connection. Its methods are called one at a time,
// except Close and CheckNamedValue.
type Owner interface {
	// Enter begins a use: a call, and what it opens, until that is closed. It refuses
	// those that come after the loan.
	Enter() error
	// Leave ends a use with its error, and returns that as the borrower is to see it.
	Leave(err error) error

	// Exec executes query.
	Exec(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error)
	// Query returns rows. When they are closed, end gets the error and may change it.
	Query(ctx context.Context, query string, args []driver.NamedValue) (rows driver.Rows, end func(error) error, err error)
	// Prepare returns a statement. ran gets the error of each execution.
	Prepare(ctx context.Context, query string) (st driver.Stmt, ran func(error), err error)
	// Begin begins a transaction. end is called with its Commit or its Rollback.
	Begin(ctx context.Context, opts driver.TxOptions) (tx driver.Tx, end func(func() error) error, err error)

	driver.NamedValueChecker
	// Close is called when the borrower's *sql.DB closes the connection.
	Close() error
}

// Conn is the one connection of a borrower's *sql.DB.
type Conn struct {
	// Owner is not embedded, which would let the borrower get at it.
	Owner Owner
	Uses  *Uses
	// Within says that the connection is in a transaction of the owner's, which the
	// borrower cannot end: its Begin, Commit and Rollback do nothing.
	Within bool
}

var (
	_ driver.ExecerContext      = (*Conn)(nil)
	_ driver.QueryerContext     = (*Conn)(nil)
	_ driver.ConnPrepareContext = (*Conn)(nil)
	_ driver.ConnBeginTx        = (*Conn)(nil)
	_ driver.NamedValueChecker  = (*Conn)(nil)
)

// enter begins a use, whose context ends with the loan, too. leave ends it.
func (c *Conn) enter(ctx context.Context) (_ context.Context, leave func(error) error, err error) {
	if err := c.Owner.Enter(); err != nil {
		return nil, nil, err
	}
	ctx, cancel := c.Uses.Until(ctx)
	return ctx, func(err error) error { cancel(); return c.Owner.Leave(err) }, nil
}

// Close implements driver.Conn.
func (c *Conn) Close() error { return c.Owner.Close() }

// CheckNamedValue implements driver.NamedValueChecker.
func (c *Conn) CheckNamedValue(v *driver.NamedValue) error { return c.Owner.CheckNamedValue(v) }

// ExecContext implements driver.ExecerContext.
func (c *Conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.Uses.Lock()
	defer c.Uses.Unlock()
	ctx, leave, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	res, err := c.Owner.Exec(ctx, query, args)
	return res, leave(err)
}

// QueryContext implements driver.QueryerContext. The context lasts until the rows are
// closed.
func (c *Conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.Uses.Lock()
	defer c.Uses.Unlock()
	ctx, leave, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	rows, end, err := c.Owner.Query(ctx, query, args)
	if err != nil {
		return nil, leave(err)
	}
	return c.Uses.add(rows, func(err error) error { return leave(end(err)) }), nil
}

// Prepare implements driver.Conn.
func (c *Conn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// PrepareContext implements driver.ConnPrepareContext.
func (c *Conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	c.Uses.Lock()
	defer c.Uses.Unlock()
	ctx, leave, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	st, ran, err := c.Owner.Prepare(ctx, query)
	if err != nil {
		return nil, leave(err)
	}
	return &stmt{Stmt: st, c: c, ran: ran, leave: leave}, nil
}

// Begin implements driver.Conn.
func (c *Conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// BeginTx implements driver.ConnBeginTx. Within a transaction it takes any options, though
// that has others. lib/pq watches the context until the transaction ends.
func (c *Conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if c.Within {
		return noTx{}, nil
	}
	c.Uses.Lock()
	defer c.Uses.Unlock()
	ctx, leave, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	base, end, err := c.Owner.Begin(ctx, opts)
	if err != nil {
		return nil, leave(err)
	}
	return &tx{base: base, uses: c.Uses, end: end, leave: leave}, nil
}
