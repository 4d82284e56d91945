// Package lent is for packages that lend a connection as a *sql.DB. Its rows can be closed
// by the lender.
package lent

import (
	"database/sql/driver"
	"io"
	"sync"
)

// Set holds the rows that a borrower has open. On SQLite open rows keep a lock on the file
// even after their connection is closed, so the lender has to close them.
type Set struct {
	mu   sync.Mutex
	open map[*Rows]struct{}
}

// Add returns the rows for the borrower. When they are closed, end is called, once, with
// the error of that; the borrower gets what end returns.
func (s *Set) Add(rows driver.Rows, end func(error) error) *Rows {
	r := &Rows{rows: rows, set: s, end: end}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(map[*Rows]struct{})
	}
	s.open[r] = struct{}{}
	return r
}

// Close closes what is open, but not rows that a goroutine of the borrower is reading.
// Cancel the contexts of their queries first, or a server may send the rest.
func (s *Set) Close() {
	s.mu.Lock()
	left := s.open
	s.open = nil
	s.mu.Unlock()
	for r := range left {
		if r.mu.TryLock() {
			_ = r.close() // the connection is given up
			r.mu.Unlock()
		}
	}
}

// Rows are a borrower's. They do not offer the driver's column types, which forwarders do
// without.
type Rows struct {
	set *Set
	end func(error) error

	mu     sync.Mutex // a lender may close them at any time
	rows   driver.Rows
	closed bool
}

var _ driver.RowsNextResultSet = (*Rows)(nil)

// Columns implements driver.Rows.
func (r *Rows) Columns() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rows.Columns()
}

// Next implements driver.Rows.
func (r *Rows) Next(dest []driver.Value) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return io.EOF
	}
	return r.rows.Next(dest)
}

// HasNextResultSet implements driver.RowsNextResultSet.
func (r *Rows) HasNextResultSet() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	next, ok := r.rows.(driver.RowsNextResultSet)
	return ok && !r.closed && next.HasNextResultSet()
}

// NextResultSet implements driver.RowsNextResultSet.
func (r *Rows) NextResultSet() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if next, ok := r.rows.(driver.RowsNextResultSet); ok && !r.closed {
		return next.NextResultSet()
	}
	return io.EOF
}

// Close implements driver.Rows.
func (r *Rows) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.close()
}

func (r *Rows) close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	r.set.mu.Lock()
	delete(r.set.open, r)
	r.set.mu.Unlock()
	return r.end(r.rows.Close())
}
