package lent

import (
	"context"
	"database/sql/driver"
	"sync"
	"sync/atomic"
	"time"
)

// Uses lets a borrower use a connection one call at a time, and keeps the rows that it has
// open: SQLite holds a lock on its file for them, even after their connection is closed. The
// zero value is that of a new loan.
type Uses struct {
	ended     atomic.Bool // End was called
	returned  atomic.Bool // Return was called
	abandoned atomic.Bool // Abandon was called

	mu  sync.Mutex // guards what follows
	ctx context.Context
	end context.CancelFunc // ends ctx, which Until has made

	// use is held in each call, also on rows, statements and transactions.
	use  sync.Mutex
	open map[*rows]struct{}
}

// End cancels the contexts of all uses. From then on the owner must refuse others.
func (u *Uses) End() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ended.Store(true)
	if u.end != nil {
		u.end()
	}
}

// Ended reports whether End was called.
func (u *Uses) Ended() bool { return u.ended.Load() }

// Until returns a context that also ends with the loan.
func (u *Uses) Until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(u.lasting(), cancel)
	return ctx, func() { stop(); cancel() }
}

// lasting returns the context that End ends.
func (u *Uses) lasting() context.Context {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ctx == nil {
		u.ctx, u.end = context.WithCancel(context.Background())
		if u.ended.Load() {
			u.end()
		}
	}
	return u.ctx
}

// Lock begins a call: one at a time.
func (u *Uses) Lock() { u.use.Lock() }

// Unlock ends a call.
func (u *Uses) Unlock() {
	u.use.Unlock()
	if u.abandoned.Load() {
		u.Abandon()
	}
}

// Acquire keeps the borrower from the connection until Release is called. It waits up to d
// for the call that runs, and reports false if that does not end: call End first.
func (u *Uses) Acquire(d time.Duration) bool {
	const pause = time.Millisecond
	for ; !u.use.TryLock(); d -= pause {
		if d <= 0 {
			return false
		}
		time.Sleep(pause)
	}
	return true
}

// Release is the counterpart of a successful Acquire.
func (u *Uses) Release() { u.Unlock() }

// Abandon closes the rows that are open, after the call that runs, if there is one. Call End
// first.
func (u *Uses) Abandon() {
	u.abandoned.Store(true) // for a call that keeps it from the rows now
	if u.use.TryLock() {
		u.CloseRows()
		u.use.Unlock()
	}
}

// Return says that the connection is back with its owner: statements that are still open are
// not closed on it.
func (u *Uses) Return() { u.returned.Store(true) }

// CloseRows closes those that are open, between Acquire and Release. Call End before, or the
// driver may read the rest of them from the server.
func (u *Uses) CloseRows() {
	for r := range u.open {
		_ = r.close() // the connection is given up
	}
}

// add returns rows as the borrower is to have them. When they are closed, once, end gets
// the error and returns it as the borrower is to see it.
func (u *Uses) add(base driver.Rows, end func(error) error) *rows {
	r := &rows{base: base, uses: u, end: end}
	if u.open == nil {
		u.open = make(map[*rows]struct{})
	}
	u.open[r] = struct{}{}
	return r
}
