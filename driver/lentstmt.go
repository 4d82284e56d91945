package driver

import (
	"context"
	"database/sql/driver"

	"github.com/go-aftercommit/aftercommit/internal/basestmt"
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
	res, err := basestmt.Exec(ctx, s.Stmt, args)
	s.l.ran(s.query, err)
	return res, s.l.leave(err)
}

func (s *lentStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	ctx, cancel, err := s.l.enter(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := basestmt.Query(ctx, s.Stmt, args)
	s.l.ran(s.query, err)
	if err != nil {
		cancel()
		return nil, s.l.leave(err)
	}
	return s.l.rows.Add(rows, func(err error) error { cancel(); return s.l.leave(err) }), nil
}
