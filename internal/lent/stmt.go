package lent

import (
	"context"
	"database/sql/driver"

	"github.com/go-aftercommit/aftercommit/internal/basestmt"
)

// stmt is a statement that the borrower has prepared. It is in use until it is closed.
type stmt struct {
	driver.Stmt
	c     *Conn
	ran   func(error)
	leave func(error) error
}

var (
	_ driver.StmtExecContext  = (*stmt)(nil)
	_ driver.StmtQueryContext = (*stmt)(nil)
)

// Close implements driver.Stmt. Once the connection is back with its owner it does nothing:
// the statement ends with the connection.
func (s *stmt) Close() error {
	s.c.Uses.Lock()
	defer s.c.Uses.Unlock()
	if s.c.Uses.returned.Load() {
		return nil
	}
	return s.leave(s.Stmt.Close())
}

// ExecContext implements driver.StmtExecContext.
func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	s.c.Uses.Lock()
	defer s.c.Uses.Unlock()
	ctx, leave, err := s.c.enter(ctx)
	if err != nil {
		return nil, err
	}
	res, err := basestmt.Exec(ctx, s.Stmt, args)
	s.ran(err)
	return res, leave(err)
}

// QueryContext implements driver.StmtQueryContext.
func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	s.c.Uses.Lock()
	defer s.c.Uses.Unlock()
	ctx, leave, err := s.c.enter(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := basestmt.Query(ctx, s.Stmt, args)
	s.ran(err)
	if err != nil {
		return nil, leave(err)
	}
	return s.c.Uses.add(rows, leave), nil
}
