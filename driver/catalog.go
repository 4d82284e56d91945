package driver

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"github.com/go-aftercommit/aftercommit/internal/basestmt"
)

// read reads what the driver asks the database for itself, past the wrapper. f
// gets each row, as text; NULL is "".
func (c *conn) read(ctx context.Context, query string, args []string, f func(row []string)) error {
	values := make([]driver.NamedValue, len(args))
	for i, a := range args {
		values[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	rows, err := c.queryOwn(ctx, query, values)
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

// queryOwn queries directly, or by a prepared statement where the base
// connection has no other way.
func (c *conn) queryOwn(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if c.own.queries() {
		rows, err := c.queryUnnamed(ctx, query, args)
		if err != driver.ErrSkip { //nolint:errorlint // database/sql compares with ==, so drivers return it bare
			return rows, err
		}
	}
	st, err := c.own.prepare(ctx, query)
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
