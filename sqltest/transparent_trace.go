package sqltest

import (
	"context"
	"database/sql"
	"time"
)

// handle is what *sql.DB, *sql.Tx and *sql.Conn have in common.
type handle interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

// exec traces a statement and its result.
func (s *trace) exec(ctx context.Context, h handle, query string, args ...any) {
	res, err := h.ExecContext(ctx, query, args...)
	s.result(query, res, err)
}

func (s *trace) result(what string, res sql.Result, err error) {
	if s.err(what, err) {
		return
	}
	n, err := res.RowsAffected()
	s.err("  rows affected", err)
	id, err := res.LastInsertId()
	s.err("  last insert id", err)
	s.note("  %d rows, id %d", n, id)
}

// query traces a query and all that its rows tell.
func (s *trace) query(ctx context.Context, h handle, query string, args ...any) {
	rows, err := h.QueryContext(ctx, query, args...)
	s.rows(query, rows, err)
}

func (s *trace) rows(what string, rows *sql.Rows, err error) {
	if s.err(what, err) {
		return
	}
	defer func() { s.err("  close", rows.Close()) }()
	for {
		s.set(rows)
		if !rows.NextResultSet() {
			break
		}
		s.note("  next result set")
	}
	s.err("  rows", rows.Err())
}

// set traces one result set.
func (s *trace) set(rows *sql.Rows) {
	columns, err := rows.Columns()
	s.err("  columns", err)
	s.note("  %q", columns)
	types, err := rows.ColumnTypes()
	s.err("  column types", err)
	for _, c := range types {
		length, hasLength := c.Length()
		nullable, hasNullable := c.Nullable()
		precision, scale, hasDecimal := c.DecimalSize()
		s.note("  %s %s %v length %d %v, nullable %v %v, decimal %d %d %v", c.Name(), c.DatabaseTypeName(), c.ScanType(),
			length, hasLength, nullable, hasNullable, precision, scale, hasDecimal)
	}
	for rows.Next() {
		values := make([]any, len(columns))
		dest := make([]any, len(columns))
		for i := range values {
			dest[i] = &values[i]
		}
		s.err("  scan", rows.Scan(dest...))
		for i, v := range values {
			if at, ok := v.(time.Time); ok {
				v = at.Format(time.RFC3339Nano) // the location is a pointer
			}
			s.note("    %s = %#v", columns[i], v)
		}
	}
}

// begin traces BeginTx and returns nil if it failed.
func (s *trace) begin(ctx context.Context, opts *sql.TxOptions) *sql.Tx {
	tx, err := s.db.BeginTx(ctx, opts)
	if s.err("begin", err) {
		return nil
	}
	return tx
}

// pool traces what the pool has when all is given back.
func (s *trace) pool() {
	st := s.db.Stats()
	s.note("pool: %d open, %d in use", st.OpenConnections, st.InUse)
}
