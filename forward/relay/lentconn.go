package relay

import (
	"context"
	"database/sql/driver"
	"errors"

	"github.com/go-aftercommit/aftercommit/internal/basestmt"
)

// lentConn is the one connection of a loan's *sql.DB.
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
	err := l.enter()
	if err != nil {
		return nil, err
	}
	defer l.leave()
	ctx, cancel := l.until(ctx) // lib/pq watches it until the transaction ends
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
	if err := t.l.enter(); err != nil {
		return err
	}
	defer t.l.leave()
	defer t.cancel()
	return f()
}

// PrepareContext implements driver.ConnPrepareContext.
func (l lentConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	err := l.enter()
	if err != nil {
		return nil, err
	}
	defer l.leave()
	ctx, cancel := l.until(ctx)
	defer cancel()
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
	if err := l.enter(); err != nil {
		return nil, err
	}
	defer l.leave()
	ctx, cancel := l.until(ctx)
	defer cancel()
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
	err := l.enter()
	if err != nil {
		return nil, err
	}
	defer l.leave()
	ctx, cancel := l.until(ctx)
	rows, err := f(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	return l.rows.Add(rows, func(err error) error { cancel(); return err }), nil
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
	if err := s.l.enter(); err != nil {
		return nil, err
	}
	defer s.l.leave()
	ctx, cancel := s.l.until(ctx)
	defer cancel()
	return basestmt.Exec(ctx, s.Stmt, args)
}

// QueryContext implements driver.StmtQueryContext.
func (s lentStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.l.query(ctx, func(ctx context.Context) (driver.Rows, error) { return basestmt.Query(ctx, s.Stmt, args) })
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
