package driver

import (
	"context"
	"database/sql/driver"
)

// lentStmt is a statement that the borrower of a lease has prepared.
type lentStmt struct {
	driver.Stmt
	l     *lease
	query string
}

var (
	_ driver.StmtExecContext  = (*lentStmt)(nil)
	_ driver.StmtQueryContext = (*lentStmt)(nil)
)

func (s *lentStmt) Close() error {
	return s.l.leave(s.Stmt.Close())
}

func (s *lentStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	ctx, cancel, err := s.l.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	res, err := execStmt(ctx, s.Stmt, args)
	s.l.ran(s.query, err)
	return res, s.l.leave(err)
}

func (s *lentStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	ctx, cancel, err := s.l.enter(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := queryStmt(ctx, s.Stmt, args)
	s.l.ran(s.query, err)
	if err != nil {
		cancel()
		return nil, s.l.leave(err)
	}
	return &lentRows{Rows: rows, l: s.l, cancel: cancel}, nil
}

// lentRows has no column types: what handlers read, they scan plainly.
type lentRows struct {
	driver.Rows
	l      *lease
	cancel context.CancelFunc
	closed bool
	after  func(error) error // ends the transaction that they are in alone
}

func (r *lentRows) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	err := r.Rows.Close()
	if r.after != nil {
		err = r.after(err)
	}
	r.cancel()
	return r.l.leave(err)
}
