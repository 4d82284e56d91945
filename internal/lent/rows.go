// Package lent is for packages that lend a connection as a *sql.DB. Its rows can be closed
// by the lender.
package lent

import (
	"database/sql/driver"
	"io"
	"sync"
	"time"
)

// Set is the open rows of a borrower. SQLite keeps a lock on its file for them, also after
// their connection is closed.
type Set struct {
	// Use is held while rows are used. A lender whose other uses hold it, too, has the
	// connection alone once [Set.Acquire] has succeeded and the borrower is refused.
	Use sync.Mutex

	mu   sync.Mutex
	open map[*Rows]struct{}
}

// Add returns rows as the borrower is to have them. When they are closed, once, end gets
// the error and returns it as the borrower is to see it.
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

// Acquire locks Use within d, and reports false if the borrower is in a call all that time.
// Cancel the contexts of its calls first.
func (s *Set) Acquire(d time.Duration) bool {
	const pause = time.Millisecond
	for ; !s.Use.TryLock(); d -= pause {
		if d <= 0 {
			return false
		}
		time.Sleep(pause)
	}
	return true
}

// Close closes what is open. Use must be held, and the contexts of the queries canceled, or a
// server may send the rest.
func (s *Set) Close() {
	s.mu.Lock()
	left := s.open
	s.open = nil
	s.mu.Unlock()
	for r := range left {
		_ = r.close() // the connection is given up
	}
}

// Rows are a borrower's. They do not offer the driver's column types, which forwarders do
// without.
type Rows struct {
	set *Set
	end func(error) error

	rows   driver.Rows
	closed bool
}

var _ driver.RowsNextResultSet = (*Rows)(nil)

// Columns implements driver.Rows.
func (r *Rows) Columns() []string {
	r.set.Use.Lock()
	defer r.set.Use.Unlock()
	return r.rows.Columns()
}

// Next implements driver.Rows.
func (r *Rows) Next(dest []driver.Value) error {
	r.set.Use.Lock()
	defer r.set.Use.Unlock()
	if r.closed {
		return io.EOF
	}
	return r.rows.Next(dest)
}

// HasNextResultSet implements driver.RowsNextResultSet.
func (r *Rows) HasNextResultSet() bool {
	r.set.Use.Lock()
	defer r.set.Use.Unlock()
	next, ok := r.rows.(driver.RowsNextResultSet)
	return ok && !r.closed && next.HasNextResultSet()
}

// NextResultSet implements driver.RowsNextResultSet.
func (r *Rows) NextResultSet() error {
	r.set.Use.Lock()
	defer r.set.Use.Unlock()
	if next, ok := r.rows.(driver.RowsNextResultSet); ok && !r.closed {
		return next.NextResultSet()
	}
	return io.EOF
}

// Close implements driver.Rows.
func (r *Rows) Close() error {
	r.set.Use.Lock()
	defer r.set.Use.Unlock()
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
