package relay

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/go-aftercommit/aftercommit/internal/lent"
)

// loan is a connector whose one connection belongs to the lender. within says that it is
// in a transaction of the lender's, which the borrower cannot end.
type loan struct {
	within  bool
	changed atomic.Bool // whether a statement may have left something behind
	kept    atomic.Bool // whether later statements may need the session of one
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
	errNoTurn = errors.New("relay: no connection became free before the call's time was up: calls of other forwarders hold all of them")
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
	if l.take != nil {
		db.SetMaxIdleConns(0) // so that it is given back between two uses
	}
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

// close closes what the borrower has left open, which on SQLite would keep its locks even
// after the connection is closed.
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
	if !reads(query) {
		l.kept.Store(true)
	}
}

// reads reports whether query only reads, so that no later statement can depend on having the
// same session, as lastval() or an unlock does. It does not see what other functions do.
func reads(query string) bool {
	query = strings.ToLower(strings.TrimSpace(query))
	if !strings.HasPrefix(query, "select") || strings.Contains(query, ";") {
		return false
	}
	for _, word := range []string{"advisory", "set_config", "nextval", "setval"} {
		if strings.Contains(query, word) {
			return false
		}
	}
	return true
}

// leaves reports whether query may leave something other than data behind on its connection:
// a transaction, a setting, a temporary table. It sees neither what a function does nor a
// SELECT INTO TEMP. It does not parse, so a ';' in a string literal looks like the end of a
// statement, which may only cost a connection. A sink in the same database writes such
// literals in each call: within a transaction only the first statement is looked at.
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

// Close leaves the connection open. One that was taken is given back, unless later statements
// may need its session.
func (l lentConn) Close() error {
	l.mu.Lock()
	giveBack := l.giveBack
	if giveBack == nil || l.kept.Load() || l.ended.Err() != nil {
		l.mu.Unlock()
		return nil
	}
	l.base, l.giveBack = nil, nil
	l.mu.Unlock()
	giveBack(Nothing)
	return nil
}

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
