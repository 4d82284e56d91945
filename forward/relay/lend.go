package relay

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/lent"
)

// Borrower uses a database, which is exactly one connection, until it returns. It reports
// whether something may be running on it still.
type Borrower func(db *sql.DB) (running bool)

// Lend runs f with conn, which is in no transaction. What f leaves open or changes in the
// session is in left.
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
	// Nothing is what data is written and read with.
	Nothing Left = iota
	// Changed is a session that may have another setting, say, or a transaction: others
	// must not get it.
	Changed
	// Open are rows, a transaction or a connection that were not closed. The connection
	// can be used no more.
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

// lendFrom is [Lend] for a connection of the relay's pool, which is taken when f uses the
// database for the first time: a call that does not, or waits for something else first, is
// not in the way of other sinks.
func (r *Relay) lendFrom(f Borrower) error {
	l := newLoan(false)
	l.take = r.take
	_, err := l.run(f)
	return err
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
	go func() { // because what Raw gives is valid within it
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

// giveBack returns conn to its pool after err, unless another connection may not have that
// error: each step would get this one again.
func giveBack(conn *sql.Conn, err error) {
	if astray(err) {
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

// LendOnce is [Lend] for the last use of conn, which goes back to its pool, unless the
// error of f says that it leads to a server that cannot be written to.
func LendOnce(conn *sql.Conn, f func(db *sql.DB) error) (err error) {
	_, lent := Lend(conn, func(db *sql.DB) bool { err = f(db); return false })
	if err == nil {
		err = lent
	}
	giveBack(conn, err)
	return err
}

// loan gives out its one connection, which others begin, commit and close if it is within
// a transaction.
type loan struct {
	within  bool
	changed atomic.Bool // whether a statement may have left something behind
	rows    lent.Set
	ended   context.Context // once the borrower has returned
	end     context.CancelFunc

	mu       sync.Mutex
	take     func(context.Context) (driver.Conn, func(Left), error) // gets base for its first use
	base     driver.Conn
	giveBack func(Left) // nil for a base that the lender has
}

func newLoan(within bool) *loan {
	l := &loan{within: within}
	l.ended, l.end = context.WithCancel(context.Background())
	return l
}

var (
	errNoTurn = errors.New("relay: no connection became free before the call's time was up: other forwarders keep theirs for long")
	errOver   = errors.New("relay: the connection was lent only until the call returned: open a separate database for later work")
)

// Connect implements driver.Connector.
func (l *loan) Connect(ctx context.Context) (driver.Conn, error) {
	l.mu.Lock()
	base := l.base
	l.mu.Unlock()
	if base != nil {
		return lentConn{l}, l.err()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ended, cancel)()
	base, giveBack, err := l.take(ctx)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err = l.err(); err != nil {
		giveBack(Nothing)
		return nil, err
	}
	l.base, l.giveBack = base, giveBack
	return lentConn{l}, nil
}

func (l *loan) err() error {
	if l.ended.Err() != nil {
		return errOver
	}
	return nil
}

// Driver implements driver.Connector.
func (l *loan) Driver() driver.Driver { return nil }

// run runs f.
func (l *loan) run(f Borrower) (left Left, err error) {
	db := sql.OpenDB(l)
	db.SetMaxOpenConns(1)
	running := f(db)
	l.mu.Lock()
	l.end()
	base, giveBack := l.base, l.giveBack
	l.mu.Unlock()
	switch {
	case base == nil:
		return Nothing, db.Close()
	case running:
		left = Open
	case db.Stats().InUse > 0:
		left = Open
		l.close()
	}
	err = db.Close() // closes statements
	if left == Nothing && l.changed.Load() {
		left = Changed
	}
	if giveBack != nil {
		giveBack(left)
	}
	return left, err
}

// close closes what f has left open. On SQLite that would otherwise keep its locks after the
// connection is closed.
func (l *loan) close() {
	l.rows.Close()
	if l.within {
		return // the lender's transaction is its own to end
	}
	if e, ok := l.base.(driver.ExecerContext); ok {
		_, _ = e.ExecContext(context.Background(), "ROLLBACK", nil) // fails outside a transaction
	}
}

func (l *loan) look(query string) {
	if leaves(query, l.within) {
		l.changed.Store(true)
	}
}

// leaves reports whether query may leave behind on its connection what is not data: a
// transaction, a setting, a temporary table. It does not see what a function does. Within
// a transaction it looks at the first statement only: a ';' may be of a text.
func leaves(query string, within bool) bool {
	for stmt := range strings.SplitSeq(query, ";") {
		words := strings.Fields(stmt)
		if len(words) == 0 {
			continue
		}
		switch strings.ToUpper(words[0]) {
		case "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "WITH", "VALUES", "TABLE", "COPY", "SAVEPOINT", "RELEASE":
		case "SET":
			if len(words) < 2 || !strings.EqualFold(words[1], "LOCAL") {
				return true
			}
		default:
			return true
		}
		if within {
			break
		}
	}
	return false
}

type lentConn struct{ *loan }

var (
	_ driver.ExecerContext      = lentConn{}
	_ driver.QueryerContext     = lentConn{}
	_ driver.ConnPrepareContext = lentConn{}
	_ driver.ConnBeginTx        = lentConn{}
	_ driver.NamedValueChecker  = lentConn{}
)

// Prepare implements driver.Conn.
func (l lentConn) Prepare(query string) (driver.Stmt, error) {
	return l.PrepareContext(context.Background(), query)
}

// Close leaves the connection open.
func (l lentConn) Close() error { return nil }

// Begin implements driver.Conn.
func (l lentConn) Begin() (driver.Tx, error) {
	return l.BeginTx(context.Background(), driver.TxOptions{})
}

// BeginTx takes any options within a transaction: that has others.
func (l lentConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if l.within {
		return noTx{}, nil
	}
	if b, ok := l.base.(driver.ConnBeginTx); ok {
		return b.BeginTx(ctx, opts)
	}
	if opts != (driver.TxOptions{}) {
		return nil, errors.New("relay: the driver has no transactions with options")
	}
	return l.base.Begin() //nolint:staticcheck // what there is
}

// PrepareContext implements driver.ConnPrepareContext.
func (l lentConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	l.look(query)
	if p, ok := l.base.(driver.ConnPrepareContext); ok {
		return p.PrepareContext(ctx, query)
	}
	return l.base.Prepare(query)
}

// ExecContext implements driver.ExecerContext.
func (l lentConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	l.look(query)
	if e, ok := l.base.(driver.ExecerContext); ok {
		return e.ExecContext(ctx, query, args)
	}
	return nil, driver.ErrSkip
}

// QueryContext implements driver.QueryerContext.
func (l lentConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	l.look(query)
	q, ok := l.base.(driver.QueryerContext)
	if !ok {
		return nil, driver.ErrSkip
	}
	ctx, cancel := context.WithCancel(ctx)
	rows, err := q.QueryContext(ctx, query, args)
	if err != nil {
		cancel()
		return nil, err
	}
	stop := context.AfterFunc(l.ended, cancel)
	return l.rows.Add(rows, func(err error) error { stop(); cancel(); return err }), nil
}

// CheckNamedValue implements driver.NamedValueChecker.
func (l lentConn) CheckNamedValue(v *driver.NamedValue) error {
	if c, ok := l.base.(driver.NamedValueChecker); ok {
		return c.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

type noTx struct{}

func (noTx) Commit() error   { return nil }
func (noTx) Rollback() error { return nil }
