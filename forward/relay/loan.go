package relay

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

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
	starved  error      // why none was taken
	returned atomic.Bool
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
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.starved = err
		return nil, err
	}
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
	if base == nil {
		return Nothing, db.Close()
	}
	alone := l.rows.Acquire(patienceWithUses)
	if !alone || running || db.Stats().InUse > 0 {
		left = Open
	}
	if alone {
		if left == Open {
			l.close()
		}
		l.rows.Use.Unlock()
	}
	err = db.Close() // closes statements
	if alone {
		l.rows.Use.Lock()
		l.returned.Store(true)
		l.rows.Use.Unlock()
	}
	l.returned.Store(true)
	if left == Nothing && l.changed.Load() {
		left = Changed
	}
	if giveBack != nil {
		giveBack(left)
	}
	return left, err
}

// patienceWithUses is how long a call on the connection may take to notice that its context
// has ended. A driver that does not is cut off: its connection is closed under it.
const patienceWithUses = 2 * time.Second

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

// enter begins a use of the connection, which no other use and not its lender disturbs until
// leave is called. ctx ends with the loan.
func (l *loan) enter(ctx context.Context) (_ context.Context, leave func(), err error) {
	l.rows.Use.Lock()
	if err = l.err(); err != nil {
		l.rows.Use.Unlock()
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(l.ended, cancel)
	return ctx, func() { stop(); cancel(); l.rows.Use.Unlock() }, nil
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
	for _, word := range []string{"advisory", "set_config", "nextval", "setval", " into"} {
		if strings.Contains(query, word) {
			return false
		}
	}
	return true
}

// leaves reports whether query may leave something other than data behind on its connection:
// a transaction, a setting, a temporary table. It does not see what a function does. It does
// not parse, so words and a ';' in a string literal look like a statement's, which may only
// cost a connection. A sink in the same database writes such literals in each call: within a
// transaction only the first word is looked at.
func leaves(query string, within bool) bool {
	if !within {
		lower := strings.ToLower(query)
		for _, word := range []string{"temp", "pg_settings", "set_config", "advisory"} {
			if strings.Contains(lower, word) {
				return true
			}
		}
	}
	for stmt := range strings.SplitSeq(query, ";") {
		words := strings.Fields(stmt)
		if len(words) == 0 {
			continue
		}
		switch strings.ToUpper(words[0]) {
		case "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "WITH", "VALUES", "TABLE", "COPY":
		case "SAVEPOINT", "RELEASE":
			if !within { // on SQLite it begins a transaction
				return true
			}
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
	_, leave, err := l.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	ctx, cancel := context.WithCancel(ctx) // lib/pq watches it until the transaction ends
	context.AfterFunc(l.ended, cancel)
	var tx driver.Tx
	b, ok := l.base.(driver.ConnBeginTx)
	switch {
	case ok:
		tx, err = b.BeginTx(ctx, opts)
	case opts != (driver.TxOptions{}):
		err = errors.New("relay: the driver has no transactions with options")
	default:
		tx, err = l.base.Begin() //nolint:staticcheck // what there is
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return lentTx{tx, l.loan, cancel}, nil
}

type lentTx struct {
	tx     driver.Tx
	l      *loan
	cancel context.CancelFunc
}

func (t lentTx) Commit() error   { return t.finish(t.tx.Commit) }
func (t lentTx) Rollback() error { return t.finish(t.tx.Rollback) }

func (t lentTx) finish(f func() error) error {
	_, leave, err := t.l.enter(context.Background())
	if err != nil {
		return err
	}
	defer leave()
	defer t.cancel()
	return f()
}

// PrepareContext implements driver.ConnPrepareContext.
func (l lentConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	ctx, leave, err := l.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	l.look(query)
	var st driver.Stmt
	if p, ok := l.base.(driver.ConnPrepareContext); ok {
		st, err = p.PrepareContext(ctx, query)
	} else {
		st, err = l.base.Prepare(query)
	}
	if err != nil {
		return nil, err
	}
	return lentStmt{st, l.loan}, nil
}

// ExecContext implements driver.ExecerContext.
func (l lentConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	ctx, leave, err := l.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
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
	return l.query(ctx, func(ctx context.Context) (driver.Rows, error) { return q.QueryContext(ctx, query, args) })
}

// query returns rows whose context lasts until they are closed.
func (l *loan) query(ctx context.Context, f func(context.Context) (driver.Rows, error)) (driver.Rows, error) {
	_, leave, err := l.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(l.ended, cancel)
	rows, err := f(ctx)
	if err != nil {
		stop()
		cancel()
		return nil, err
	}
	return l.rows.Add(rows, func(err error) error { stop(); cancel(); return err }), nil
}

// lentStmt is a prepared statement.
type lentStmt struct {
	driver.Stmt
	l *loan
}

var (
	_ driver.StmtExecContext  = lentStmt{}
	_ driver.StmtQueryContext = lentStmt{}
)

// Close implements driver.Stmt. Once the connection is given back its end is the statement's.
func (s lentStmt) Close() error {
	s.l.rows.Use.Lock()
	defer s.l.rows.Use.Unlock()
	if s.l.returned.Load() {
		return nil
	}
	return s.Stmt.Close()
}

// ExecContext implements driver.StmtExecContext.
func (s lentStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	ctx, leave, err := s.l.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if e, ok := s.Stmt.(driver.StmtExecContext); ok {
		return e.ExecContext(ctx, args)
	}
	return s.Exec(values(args))
}

// QueryContext implements driver.StmtQueryContext.
func (s lentStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.l.query(ctx, func(ctx context.Context) (driver.Rows, error) {
		if q, ok := s.Stmt.(driver.StmtQueryContext); ok {
			return q.QueryContext(ctx, args)
		}
		return s.Query(values(args))
	})
}

func values(args []driver.NamedValue) []driver.Value {
	v := make([]driver.Value, len(args))
	for i := range args {
		v[i] = args[i].Value
	}
	return v
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
