package driver

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/go-aftercommit/aftercommit/internal/basestmt"
)

// querier executes the driver's own statements: past another of our connections below,
// for which they would be the app's. What begins or ends a transaction is for that one
// to see, and does not go this way.
type querier struct {
	*optional
	is    *facts
	cfg   *config
	modes *execModes
	terms terms // for outlast
	kept  kept
}

// read reads what the driver asks the database for itself. f gets each row, as text;
// NULL is "".
func (q *querier) read(ctx context.Context, query string, args []string, f func(row []string)) error {
	values := make([]driver.NamedValue, len(args))
	for i, a := range args {
		values[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	rows, err := q.queryAny(ctx, query, values)
	if err != nil {
		return err
	}
	dest := make([]driver.Value, len(rows.Columns()))
	row := make([]string, len(dest))
	for err = rows.Next(dest); err == nil; err = rows.Next(dest) {
		for i, v := range dest {
			row[i] = plainText(v)
		}
		f(row)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, rows.Close())
}

// execKept executes a statement of the handler's, by the connection's kept statement if it may
// have one.
func (q *querier) execKept(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if q.is.local && len(args) > 0 {
		return q.kept.exec(ctx, q.optional, query, args)
	}
	return q.execAny(ctx, query, args)
}

// number returns the number that a query returns; known is false if it returns none.
func (q *querier) number(ctx context.Context, query string) (n int64, known bool) {
	ctx, cancel := q.unhurried(ctx)
	defer cancel()
	err := q.read(ctx, query, nil, func(row []string) {
		var err error
		n, err = strconv.ParseInt(row[0], 10, 64)
		known = err == nil
	})
	return n, known && err == nil
}

// queryAny queries directly, or by a prepared statement where the base
// connection has no other way.
func (q *querier) queryAny(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if q.queries() {
		rows, err := q.queryUnnamed(ctx, query, args)
		if err != driver.ErrSkip { //nolint:errorlint // database/sql compares with ==, so drivers return it bare
			return rows, err
		}
	}
	st, err := q.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := basestmt.Query(ctx, st, args)
	if err != nil {
		_ = st.Close()
		return nil, err
	}
	return &ownRows{rows, st}, nil
}

// ownRows close their statement.
type ownRows struct {
	driver.Rows
	st driver.Stmt
}

func (r *ownRows) Close() error { return errors.Join(r.Rows.Close(), r.st.Close()) }

func plainText(v driver.Value) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case []byte:
		return string(v)
	default:
		return fmt.Sprint(v)
	}
}
