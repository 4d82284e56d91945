package relay

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Lend runs f with a database of conn alone, in whatever transaction that is:
// Begin, Commit and Rollback do nothing. It must not be used after f.
func Lend(conn *sql.Conn, f func(db *sql.DB)) error {
	return conn.Raw(func(base any) error {
		db := sql.OpenDB(lender{base.(driver.Conn)})
		db.SetMaxOpenConns(1)
		f(db)
		return db.Close()
	})
}

// discard makes the pool close conn instead of keeping it.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}

// giveBack returns conn to its pool after err, unless err says that it leads to a server
// that cannot be written to, or to another one than the address does now: after a
// failover a connection to the old server, or to a standby, may stay open for good, and
// each step would get it again.
func giveBack(conn *sql.Conn, err error) {
	if astray(err) {
		discard(conn)
	}
	_ = conn.Close() // its errors are those of the calls before
}

// astray reports whether err is one that another connection may not have: a server that
// is read-only or shuts down, a broken connection (PostgreSQL manual, appendix A: class
// 08, 57P01 to 57P05), or the wrong database.
func astray(err error) bool {
	var place *PlaceError
	if errors.As(err, &place) {
		return true
	}
	state := hooks.SQLState(err)
	return state == "25006" || strings.HasPrefix(state, "08") || strings.HasPrefix(state, "57P")
}

// LendOnce is [Lend] for the last use of conn, which goes back to its pool, unless the
// error of f says that it leads to a server that cannot be written to.
func LendOnce(conn *sql.Conn, f func(db *sql.DB) error) (err error) {
	lent := Lend(conn, func(db *sql.DB) { err = f(db) })
	if err == nil {
		err = lent
	}
	giveBack(conn, err)
	return err
}

// lender gives out its one connection.
type lender struct{ base driver.Conn }

func (l lender) Connect(context.Context) (driver.Conn, error) { return lent(l), nil }
func (l lender) Driver() driver.Driver                        { return nil }

// lent is a connection that others begin, commit and close.
type lent struct{ base driver.Conn }

var (
	_ driver.ExecerContext      = lent{}
	_ driver.QueryerContext     = lent{}
	_ driver.ConnPrepareContext = lent{}
	_ driver.ConnBeginTx        = lent{}
	_ driver.NamedValueChecker  = lent{}
)

// Prepare implements driver.Conn.
func (l lent) Prepare(query string) (driver.Stmt, error) { return l.base.Prepare(query) }

// Close leaves the connection open.
func (l lent) Close() error { return nil }

// Begin implements driver.Conn.
func (l lent) Begin() (driver.Tx, error) { return noTx{}, nil }

// BeginTx takes any options: the transaction that there is has others.
func (l lent) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) { return noTx{}, nil }

// PrepareContext implements driver.ConnPrepareContext.
func (l lent) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if p, ok := l.base.(driver.ConnPrepareContext); ok {
		return p.PrepareContext(ctx, query)
	}
	return l.base.Prepare(query)
}

// ExecContext implements driver.ExecerContext.
func (l lent) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if e, ok := l.base.(driver.ExecerContext); ok {
		return e.ExecContext(ctx, query, args)
	}
	return nil, driver.ErrSkip
}

// QueryContext implements driver.QueryerContext.
func (l lent) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if q, ok := l.base.(driver.QueryerContext); ok {
		return q.QueryContext(ctx, query, args)
	}
	return nil, driver.ErrSkip
}

// CheckNamedValue implements driver.NamedValueChecker.
func (l lent) CheckNamedValue(v *driver.NamedValue) error {
	if c, ok := l.base.(driver.NamedValueChecker); ok {
		return c.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

type noTx struct{}

func (noTx) Commit() error   { return nil }
func (noTx) Rollback() error { return nil }
