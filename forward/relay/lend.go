package relay

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Borrower may use db, which is exactly one connection, until it returns. It reports whether
// something may still be running on it.
type Borrower func(db *sql.DB) (running bool)

// Lend runs f with conn, which is in no transaction. left says whether f has left something
// open, or has changed the session.
func Lend(conn *sql.Conn, f Borrower) (left Left, err error) {
	return lend(conn, false, f)
}

// LendWithin is [Lend] for a connection in a transaction, which f cannot end: Begin, Commit
// and Rollback do nothing.
func LendWithin(conn *sql.Conn, f Borrower) (left Left, err error) {
	return lend(conn, true, f)
}

// Left is what a borrower leaves behind on a connection.
type Left uint8

const (
	// Nothing is left where only statements for data were executed.
	Nothing Left = iota
	// Changed is a session that may have another setting, say, or a transaction. Others
	// must not get it.
	Changed
	// Open are rows, a transaction or a connection that were not closed. The connection
	// must not be used any more.
	Open
)

func lend(conn *sql.Conn, within bool, f Borrower) (left Left, err error) {
	err = conn.Raw(func(base any) error {
		l := newLoan(within)
		l.base = base.(driver.Conn)
		left, err = l.run(f)
		return err
	})
	return left, err
}

// lendFrom is [Lend] for a connection of the relay's pool, which is taken for each use and
// given back after it: a call that waits for something else is not in the way of other sinks.
// It is kept once f has executed more than a SELECT, because f may rely on its session then.
// starved is why f did not get one.
func (r *Relay) lendFrom(f Borrower) (starved, err error) {
	l := newLoan(false)
	l.take = r.take
	_, err = l.run(f)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.starved, err
}

// take takes a connection from the pool. giveBack returns it, or closes it if something is
// left there.
func (r *Relay) take(ctx context.Context) (base driver.Conn, giveBack func(Left), err error) {
	if !r.enter(ctx, nil) {
		return nil, nil, errNoTurn
	}
	conn, err := r.db.Conn(ctx)
	if err != nil {
		r.leave()
		return nil, nil, err
	}
	given, back, done := make(chan driver.Conn, 1), make(chan Left), make(chan struct{})
	go func() { // because a base connection is valid within Raw only
		defer close(done)
		defer r.leave()
		_ = conn.Raw(func(base any) error {
			given <- base.(driver.Conn)
			if <-back != Nothing {
				return driver.ErrBadConn // the pool closes it
			}
			return nil
		})
		_ = conn.Close() // its errors are those of the uses before
	}()
	return <-given, func(left Left) { back <- left; <-done }, nil
}

// discard makes the pool close conn instead of keeping it.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}

// GiveBack returns conn to its pool, or closes it: if something is left there, or where
// another connection may not have the error of its last use, which the next step would get
// again.
func GiveBack(conn *sql.Conn, left Left, err error) {
	if left != Nothing || astray(err) {
		discard(conn)
	}
	_ = conn.Close() // its errors are those of the calls before
}

// astray reports whether err is one that another connection may not have: one of the
// driver or of a context, not the server's; a transaction that another use has left open
// (PostgreSQL manual, appendix A: class 25); a server that is read-only (25006) or shuts
// down (57P01 to 57P05), as the old one does after a failover, or a standby; a broken
// connection (class 08); the wrong database.
func astray(err error) bool {
	var place *PlaceError
	if errors.As(err, &place) {
		return true
	}
	state := hooks.SQLState(err)
	return err != nil && state == "" || strings.HasPrefix(state, "25") || strings.HasPrefix(state, "08") || strings.HasPrefix(state, "57P")
}

// LendOnce is [Lend] for the last use of conn, by what executes only statements for data.
// It goes back to its pool, unless another connection may not have the error of f.
func LendOnce(conn *sql.Conn, f func(db *sql.DB) error) (err error) {
	_, lent := Lend(conn, func(db *sql.DB) bool { err = f(db); return false })
	if err == nil {
		err = lent
	}
	GiveBack(conn, Nothing, err)
	return err
}
