package driver

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
)

var (
	_ wrappedRows = (*countedRows)(nil)
	_ wrappedRows = (*implicitRows)(nil)
)

// countedRows are rows of a captured statement inside the app's transaction.
type countedRows struct {
	columns
	c     *conn
	count count
	limit int
	// within: inside an implicit transaction, whose COMMIT waits for these rows.
	within bool
}

func newCountedRows(c *conn, base driver.Rows, captures []unread) *countedRows {
	if c.tx.Implicit {
		c.streams++
	}
	return &countedRows{
		columns: columns{base: base}, c: c, count: c.capturer.newCount(&c.tx.Record, base, captures),
		limit: c.db.reg.cfg.drainRows, within: c.tx.Implicit,
	}
}

func (r *countedRows) Next(dest []driver.Value) error {
	err := r.base.Next(dest)
	if err == nil {
		r.count.look(dest)
	}
	return r.saw(err)
}

// saw counts a row, or what came instead of one.
func (r *countedRows) saw(err error) error {
	switch {
	case err == nil:
		r.count.n++
	case errors.Is(err, io.EOF):
		r.count.settle(true)
	default:
		r.count.failed()
		r.c.db.dialect.failed(context.Background(), r.c, err)
	}
	return err
}

// NextResultSet leaves the captured statement's rows uncounted if the app skips
// some of them.
func (r *countedRows) NextResultSet() error {
	err := r.columns.NextResultSet()
	switch {
	case err == nil:
		r.count.settle(false)
	case !errors.Is(err, io.EOF):
		r.count.failed()
		r.c.db.dialect.failed(context.Background(), r.c, err)
	}
	return err
}

// Close counts what the app did not read; the statement has changed those rows
// all the same.
func (r *countedRows) Close() error {
	known := !r.count.done && r.count.drain(r.base, r.limit)
	err := r.base.Close()
	if r.c.is.failsInRows && !r.count.done {
		if err == nil {
			err = r.count.broken
		}
		if err != nil {
			_ = r.saw(err)
		}
	}
	r.count.settle(known)
	if r.within {
		r.within = false
		r.c.streams--
		if cerr := r.c.finishDue(); err == nil {
			err = cerr
		}
	}
	return err
}

// finishDue commits an implicit transaction whose own rows have ended, once the
// last rows of other statements in it have, too: SQLite refuses it before.
func (c *conn) finishDue() error {
	if c.streams > 0 || !c.tx.Due {
		return nil
	}
	return c.finishImplicit(context.Background(), false)
}

// implicitRows are rows of a captured autocommit statement that end its
// transaction after the last row of the last result set.
type implicitRows struct {
	columns
	c        *conn
	after    func() error // what ends the transaction
	count    count
	ended    bool
	err      error // why it ended, if that was a failure
	reported bool  // err has been returned
}

func (r *implicitRows) Next(dest []driver.Value) error {
	if r.ended {
		return r.last()
	}
	err := r.base.Next(dest)
	if err == nil {
		r.count.look(dest)
	}
	return r.saw(err)
}

// last is what Next returns after the last row.
func (r *implicitRows) last() error {
	if r.err != nil {
		r.reported = true
		return r.err
	}
	return io.EOF
}

func (r *implicitRows) saw(err error) error {
	switch {
	case r.ended:
		return r.last()
	case err == nil:
		r.count.n++
		return nil
	case !errors.Is(err, io.EOF):
		return r.fail(err)
	}
	r.count.settle(true)
	if r.columns.HasNextResultSet() {
		return err
	}
	r.finish()
	return r.last()
}

// HasNextResultSet is false once the transaction has ended.
func (r *implicitRows) HasNextResultSet() bool {
	return !r.ended && r.columns.HasNextResultSet()
}

// NextResultSet leaves the captured statement's rows uncounted if the app skips
// some of them.
func (r *implicitRows) NextResultSet() error {
	if r.ended {
		return r.last()
	}
	err := r.columns.NextResultSet()
	switch {
	case err == nil:
		r.count.settle(false)
		return nil
	case !errors.Is(err, io.EOF):
		return r.fail(err)
	case r.count.done: // the end of the last set did not say that it was the last
		r.finish()
		return r.last()
	}
	return err
}

// fail rolls back after an error of the statement.
func (r *implicitRows) fail(err error) error {
	r.count.failed()
	r.ended, r.err, r.reported = true, err, true
	_ = r.base.Close()
	r.c.streams--
	if r.c.tx.Open() {
		r.c.abandon(context.Background())
	}
	return err
}

// finish commits after the last row.
func (r *implicitRows) finish() {
	r.ended = true
	err := r.base.Close()
	r.c.streams--
	if r.c.is.failsInRows && (err != nil || r.count.broken != nil) {
		if r.err = r.count.broken; r.err == nil {
			r.err = err
		}
		return // the statement failed, and was in no transaction
	}
	if cerr := r.after(); err == nil {
		err = cerr
	}
	r.err = err
}

// Close ends the transaction if reading to the end has not.
func (r *implicitRows) Close() error {
	if !r.ended {
		if !r.count.done {
			r.count.settle(r.count.drain(r.base, r.c.db.reg.cfg.drainRows))
		}
		r.finish()
	}
	if r.reported {
		return nil
	}
	r.reported = true
	return r.err
}

// serve hands the app the rows of a captured autocommit statement. Where rows are locked
// they are read before, and the transaction is committed: held open, it would
// keep row locks for as long as the app reads, which the bare statement does not.
func (c *conn) serve(ctx context.Context, base driver.Rows, captures []unread) driver.Rows {
	r := &implicitRows{columns: columns{base: base}, c: c, count: c.capturer.newCount(&c.tx.Record, base, captures)}
	r.after = func() error {
		if !c.tx.Open() {
			return nil
		}
		if c.streams > 0 {
			c.tx.Due = true
			return nil
		}
		return c.finishImplicit(ctx, false)
	}
	c.streams++
	if limit := c.db.reg.cfg.drainRows; c.is.rowsLock && limit > 0 && !scansColumns(base) {
		return readAhead(r, limit)
	}
	return shapeRows(r, r.saw)
}
