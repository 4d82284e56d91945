package relay

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Borrower may use db, which is exactly one connection, until it returns. It reports whether
// something may still be running on it.
type Borrower func(db *sql.DB) (running bool)

// LendWithin runs f with conn, which is in a transaction that f cannot end: Begin, Commit and
// Rollback do nothing. left says whether f has left something open, or has changed the session.
func LendWithin(conn *sql.Conn, f Borrower) (left Leftover, err error) {
	return lend(conn, true, f)
}

// Leftover is what a borrower leaves behind on a connection.
type Leftover uint8

const (
	// NothingLeft is where only statements for data were executed.
	NothingLeft Leftover = iota
	// SessionChanged is a session that may have another setting, say, or a transaction. Others
	// must not get it.
	SessionChanged
	// StillOpen are rows, a transaction or a connection that were not closed. The connection
	// must not be used any more.
	StillOpen
)

func lend(conn *sql.Conn, within bool, f Borrower) (left Leftover, err error) {
	err = conn.Raw(func(base any) error {
		l := newLoan(within)
		l.base = base.(driver.Conn)
		left, err = l.run(f)
		return err
	})
	return left, err
}

// discard makes the pool close conn instead of keeping it.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}

// giveBack returns conn to its pool, or closes it: if something is left there, or where
// another connection may not have the error of its last use, which the next step would get
// again.
func giveBack(conn *sql.Conn, left Leftover, err error) {
	if left != NothingLeft || astray(err) {
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

// LendOnce runs f with conn, which is in no transaction, for its last use, by what executes only
// statements for data.
// It goes back to its pool, unless another connection may not have the error of f.
func LendOnce(conn *sql.Conn, f func(db *sql.DB) error) (err error) {
	_, lent := lend(conn, false, func(db *sql.DB) bool { err = f(db); return false })
	if err == nil {
		err = lent
	}
	giveBack(conn, NothingLeft, err)
	return err
}
