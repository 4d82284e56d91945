package lent

import (
	"database/sql/driver"
	"io"
)

// rows are a borrower's. They do not offer the driver's column types, which forwarders do
// without.
type rows struct {
	uses *Uses
	end  func(error) error

	base   driver.Rows
	closed bool
}

var _ driver.RowsNextResultSet = (*rows)(nil)

func (r *rows) Columns() []string {
	r.uses.Lock()
	defer r.uses.Unlock()
	return r.base.Columns()
}

func (r *rows) Next(dest []driver.Value) error {
	r.uses.Lock()
	defer r.uses.Unlock()
	if r.closed {
		return io.EOF
	}
	return r.base.Next(dest)
}

func (r *rows) HasNextResultSet() bool {
	r.uses.Lock()
	defer r.uses.Unlock()
	next, ok := r.base.(driver.RowsNextResultSet)
	return ok && !r.closed && next.HasNextResultSet()
}

func (r *rows) NextResultSet() error {
	r.uses.Lock()
	defer r.uses.Unlock()
	if next, ok := r.base.(driver.RowsNextResultSet); ok && !r.closed {
		return next.NextResultSet()
	}
	return io.EOF
}

func (r *rows) Close() error {
	r.uses.Lock()
	defer r.uses.Unlock()
	return r.close()
}

func (r *rows) close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	delete(r.uses.open, r)
	return r.end(r.base.Close())
}
