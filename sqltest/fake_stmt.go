package sqltest

import (
	"context"
	"database/sql/driver"
)

// stmt has every method that a statement can have; [shapeStmt] shows some.
type stmt struct {
	conn   *conn
	query  string
	closed bool
}

// use panics for a statement that is closed, if the fake forgets.
func (s *stmt) use() {
	if s.closed && s.conn.fake.forgetful() {
		panic("sqltest: use of a statement that is closed")
	}
}

func (s *stmt) Close() error {
	s.use()
	s.closed = true
	return s.conn.call(context.Background(), Call{Method: "Stmt.Close", Query: s.query}, nil)
}

func (s *stmt) NumInput() int { return countParams(s.query) }

func (s *stmt) Exec(args []driver.Value) (driver.Result, error) {
	s.use()
	return s.conn.execute(context.Background(), Call{Method: "Stmt.Exec", Query: s.query, Args: ordinals(args)})
}

func (s *stmt) Query(args []driver.Value) (driver.Rows, error) {
	s.use()
	return s.conn.query(context.Background(), Call{Method: "Stmt.Query", Query: s.query, Args: ordinals(args)})
}

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	s.use()
	return s.conn.execute(ctx, Call{Method: "Stmt.ExecContext", Query: s.query, Args: args})
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	s.use()
	return s.conn.query(ctx, Call{Method: "Stmt.QueryContext", Query: s.query, Args: args})
}

func (s *stmt) CheckNamedValue(nv *driver.NamedValue) error {
	return s.conn.checkNamedValue(Call{Method: "Stmt.CheckNamedValue", Query: s.query}, nv)
}

// ColumnConverter makes text of every argument, so that a log shows whether it
// was asked.
func (s *stmt) ColumnConverter(int) driver.ValueConverter { return driver.String }

// result is what Exec returns.
type result struct {
	conn   *conn
	query  string
	answer Answer
}

func (r *result) LastInsertId() (int64, error) {
	err := r.conn.call(context.Background(), Call{Method: "Result.LastInsertId", Query: r.query}, nil)
	return r.answer.LastInsertID, err
}

func (r *result) RowsAffected() (int64, error) {
	err := r.conn.call(context.Background(), Call{Method: "Result.RowsAffected", Query: r.query}, nil)
	return r.answer.RowsAffected, err
}
