package driver

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/lent"
)

// loanKind says what the connection is lent for.
type loanKind int8

const (
	// loanIdle: the connection is outside any transaction; Begin is real.
	loanIdle loanKind = iota
	// loanFlush: it is inside the app's transaction; Begin, Commit and Rollback do nothing.
	loanFlush
	// loanBeside: it is the handler's own, and lent for as long as it lives.
	loanBeside
)

// errRevoked is what a borrower gets that uses the connection after the call.
var errRevoked = errors.New("driver: the app's connection was lent only until the call returned: open a separate database for later work")

var errSent = errors.New("driver: the COMMIT has been sent with the query that Flush.Final made, which must be the last one")

// loan is a connection that is lent: to the handler directly, and as a *sql.DB of exactly one
// connection to what it calls. When it is revoked while a call is still running, or with rows, a
// statement or a transaction left open, the connection cannot go back to the app and is given
// up; its base is closed by the last use that ends.
type loan struct {
	c    *conn
	kind loanKind
	uses lent.Uses
	last context.Context // of the query that has the COMMIT behind it
	// committer sends that query, nil if it is executed as others are.
	committer Committer

	mu      sync.Mutex // guards what follows
	db      *sql.DB    // nil until it is asked for
	guard   string     // runs before the first statement, then ""
	final   string     // the query that has the COMMIT behind it
	end     finalQuery // what became of final
	within  bool       // the borrower has a transaction of its own open
	entered bool       // the borrower has used the connection
	setup   bool       // lent for Handler.Connect
	left    leftover   // of an idle connection
	held    int        // running calls, open rows, statements, transactions
	native  error      // the last error of the base driver
	closing bool       // the last use closes the base connection
}

var (
	_ hooks.Conn       = (*loan)(nil)
	_ driver.Connector = (*loan)(nil)
	_ lent.Owner       = (*loan)(nil)
)

func (c *conn) lend(kind loanKind) *loan { return &loan{c: c, kind: kind} }

// DB implements hooks.Conn.
func (l *loan) DB() *sql.DB {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.db == nil {
		l.db = sql.OpenDB(l)
		l.db.SetMaxOpenConns(1)
		if l.uses.Ended() {
			_ = l.db.Close()
		}
	}
	return l.db
}

// ExecContext implements hooks.Conn. It trusts the handler not to end the transaction.
func (l *loan) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	l.uses.Lock()
	defer l.uses.Unlock()
	if err := l.Enter(); err != nil {
		return nil, err
	}
	values := make([]driver.NamedValue, len(args))
	for i, a := range args {
		values[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	res, err := l.exec(ctx, query, values, l.c.own.execKept)
	return res, l.Leave(err)
}

// QueryRow implements hooks.Conn.
func (l *loan) QueryRow(ctx context.Context, query string) (row []string, n int64, err error) {
	l.uses.Lock()
	defer l.uses.Unlock()
	if err = l.Enter(); err != nil {
		return nil, 0, err
	}
	res, err := l.exec(ctx, query, nil, l.c.execRow)
	if err = l.Leave(err); err != nil {
		return nil, 0, err
	}
	if joined, ok := res.(Joined); ok {
		row = joined.Row
	}
	n, err = res.RowsAffected()
	return row, n, err
}

// revoke ends the loan and returns the last error of the base driver in it.
func (l *loan) revoke(ctx context.Context) error {
	l.mu.Lock()
	l.uses.End() // under mu, so that each call has either entered before or is refused
	native, db := l.native, l.db
	l.mu.Unlock()
	if db != nil {
		_ = db.Close()
	}
	l.mu.Lock()
	busy, left := l.held > 0, l.left
	l.mu.Unlock()
	if busy {
		l.uses.Abandon()
		l.c.lent = l
		l.c.discard()
		return native
	}
	if left != (leftover{}) {
		l.c.cleanUp(context.WithoutCancel(ctx), left)
	}
	return native
}

// shared reports whether what the handler was lent may still be in use when it is revoked.
func (l *loan) shared() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.db != nil || l.held > 0
}

// closeLater reports whether the connection is still in use, in which case its
// last use closes it.
func (l *loan) closeLater() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closing = l.held > 0
	return l.closing
}

// Connect serves the loan's own sql.DB.
func (l *loan) Connect(context.Context) (driver.Conn, error) {
	if l.uses.Ended() {
		return nil, errRevoked
	}
	return l.conn(), nil
}

func (l *loan) conn() *lent.Conn {
	return &lent.Conn{Owner: l, Uses: &l.uses, Within: l.kind == loanFlush}
}

// Driver returns the base driver.
func (l *loan) Driver() driver.Driver { return underOurs(l.c.db.base).Driver() }

// Enter implements lent.Owner.
func (l *loan) Enter() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.uses.Ended():
		return errRevoked
	case l.end.sent:
		return errSent
	}
	l.held++
	l.entered = true
	return nil
}

// Leave implements lent.Owner. On ErrBadConn the loan's sql.DB would try again, without
// the guard.
func (l *loan) Leave(err error) error {
	l.mu.Lock()
	if err != nil && !errors.Is(err, driver.ErrSkip) {
		l.native = err
	}
	l.held--
	last := l.held == 0 && l.closing
	l.mu.Unlock()
	if last {
		_ = l.c.closeBase()
	}
	if l.kind != loanBeside && errors.Is(err, driver.ErrBadConn) {
		return &notBad{err}
	}
	return err
}

// takeGuard returns the guard the first time.
func (l *loan) takeGuard() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.guard
	l.guard = ""
	return g
}

// touched reports whether the borrower has executed anything.
func (l *loan) touched() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.entered
}

// commits is the Final of a flush.
func (l *loan) commits(query string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.final = query + "; COMMIT"
	return l.final
}

// sends reports whether query has the COMMIT behind it, and notes that it is
// sent: it is the loan's last use.
func (l *loan) sends(query string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end.sent = l.final != "" && query == l.final
	return l.end.sent
}

// finalQuery is what became of the query that has the COMMIT behind it.
type finalQuery struct {
	sent     bool // it was executed
	returned bool // and that has ended, not in a panic
	Joined        // where its answer can be distinguished from the COMMIT's
}

// commit executes the final query, by run or the Committer.
func (l *loan) commit(query string, args []driver.NamedValue, run execFunc) (res driver.Result, err error) {
	if l.committer != nil {
		res, err = l.committer.Commit(l.last, query)
	} else {
		res, err = run(l.last, query, args)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if joined, ok := res.(Joined); ok {
		l.end.Joined = joined
	}
	if err == nil {
		l.native = nil // what failed before is not the COMMIT's answer
	}
	return res, err
}

// returned notes that the final query has ended.
func (l *loan) returned() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end.returned = true
}

// ending returns what became of the final query.
func (l *loan) ending() finalQuery {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end
}
