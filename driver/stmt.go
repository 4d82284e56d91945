package driver

import (
	"context"
	"database/sql/driver"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/basestmt"
)

// stmt wraps a prepared statement whose execution is of interest.
type stmt struct {
	c     *conn
	base  driver.Stmt
	stmts []lex.Statement
	// feeding: rows of a COPY have been handed to lib/pq, which has them copied
	// by an Exec without arguments, or by Close.
	feeding bool
	// copies: it is a COPY, which lib/pq begins when it is prepared.
	copies bool
}

// stmtCore is what every wrapped statement has; see core.
type stmtCore interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

var _ stmtCore = (*stmt)(nil)

// shapeStmt returns s with the optional interfaces of its base.
func shapeStmt(s *stmt) driver.Stmt {
	nvc, checks := s.base.(driver.NamedValueChecker)
	conv, converts := s.base.(driver.ColumnConverter) //nolint:staticcheck // legacy drivers have only this
	switch {
	case checks && converts:
		return struct {
			stmtCore
			namedValueChecker
			columnConverter
		}{s, nvc, conv}
	case checks:
		return struct {
			stmtCore
			namedValueChecker
		}{s, nvc}
	case converts:
		return struct {
			stmtCore
			columnConverter
		}{s, conv}
	}
	return s
}

// Embedded under names of their own, since a field called ColumnConverter
// would hide the method of that name.
type (
	namedValueChecker interface{ driver.NamedValueChecker }
	columnConverter   interface {
		ColumnConverter(idx int) driver.ValueConverter
	}
)

// Close may be what ends a COPY. With the connection its statements have ended: database/sql
// does not know those of an *sql.Conn, and may close one after it.
func (s *stmt) Close() error {
	if s.c.gone {
		return nil
	}
	err := s.base.Close()
	if err == nil && s.feeding {
		s.c.captureClosed(s.stmts)
	}
	s.feeding = false
	return err
}

// NumInput passes through.
func (s *stmt) NumInput() int { return s.base.NumInput() }

// Exec and Query are for callers without a context; database/sql has one.
func (s *stmt) Exec(args []driver.Value) (driver.Result, error) {
	return s.ExecContext(context.Background(), named(args))
}

// Query is the counterpart of Exec.
func (s *stmt) Query(args []driver.Value) (driver.Rows, error) {
	return s.QueryContext(context.Background(), named(args))
}

func named(args []driver.Value) []driver.NamedValue {
	out := make([]driver.NamedValue, len(args))
	for i, v := range args {
		out[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return out
}

// ExecContext runs the statement as a job of its connection.
func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	a, err := s.run(ctx, args, func(ctx context.Context) (answer, error) {
		res, err := basestmt.Exec(ctx, s.base, args)
		return answer{res: res}, err
	})
	return a.res, err
}

// QueryContext is the counterpart of ExecContext for statements with rows.
func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	a, err := s.run(ctx, args, func(ctx context.Context) (answer, error) {
		rows, err := basestmt.Query(ctx, s.base, args)
		return answer{rows: rows}, err
	})
	return a.rows, err
}

func (s *stmt) run(ctx context.Context, args []driver.NamedValue, do func(context.Context) (answer, error)) (answer, error) {
	if s.c.alert {
		if err := s.c.calm(ctx); err != nil {
			return answer{}, err
		}
	}
	a, err := s.c.dispatch(ctx, &job{stmts: s.stmts, args: args, instead: do, copying: s.copies, prepared: true})
	s.feeding = err == nil && feeds(s.stmts, args)
	return a, err
}

// captureClosed makes events of a COPY that the Close of its statement ended.
func (c *conn) captureClosed(stmts []lex.Statement) {
	if c.tx.Open() && c.tx.Mode != hooks.Off {
		j := &job{stmts: stmts, copying: true}
		_ = c.lookUp(context.Background(), j) // which does not ask
		c.capturer.capture(context.Background(), &c.tx.Record, j, nil)
	}
}
