package lent

import (
	"context"
	"database/sql/driver"
	"sync"
	"sync/atomic"
	"time"
)

// Uses lets a borrower use a connection one call at a time, and keeps the rows that it has
// open: SQLite holds a lock on its file for them, even after their connection is closed.
type Uses struct {
	ctx context.Context // ended by End
	end context.CancelFunc

	returned  atomic.Bool // Return was called
	abandoned atomic.Bool // Abandon was called

	// use is held in each call, also on rows, statements and transactions.
	use  sync.Mutex
	open map[*rows]struct{}
}

// NewUses returns those of one loan.
func NewUses() *Uses {
	u := &Uses{open: make(map[*rows]struct{})}
	u.ctx, u.end = context.WithCancel(context.Background())
	return u
}

// End cancels the contexts of all uses. From then on the owner must refuse others.
func (u *Uses) End() { u.end() }

// Ended reports whether End was called.
func (u *Uses) Ended() bool { return u.ctx.Err() != nil }

// Until returns a context that also ends with the loan.
func (u *Uses) Until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(u.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

func (u *Uses) lock() (unlock func()) {
	u.use.Lock()
	return u.unlock
}

func (u *Uses) unlock() {
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
func (u *Uses) Release() { u.unlock() }

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
	u.open[r] = struct{}{}
	return r
}
