// Package basestmt calls prepared statements of drivers that may be older than the interfaces
// with a context.
package basestmt

import (
	"context"
	"database/sql/driver"
	"errors"
)

// Exec executes st.
func Exec(ctx context.Context, st driver.Stmt, args []driver.NamedValue) (driver.Result, error) {
	if s, ok := st.(driver.StmtExecContext); ok {
		return s.ExecContext(ctx, args)
	}
	values, err := Values(ctx, args)
	if err != nil {
		return nil, err
	}
	return st.Exec(values) //nolint:staticcheck // legacy drivers have only this
}

// Query queries st.
func Query(ctx context.Context, st driver.Stmt, args []driver.NamedValue) (driver.Rows, error) {
	if s, ok := st.(driver.StmtQueryContext); ok {
		return s.QueryContext(ctx, args)
	}
	values, err := Values(ctx, args)
	if err != nil {
		return nil, err
	}
	return st.Query(values) //nolint:staticcheck // legacy drivers have only this
}

// Values strips names for a driver without named parameters, and gives up
// if ctx has ended, since the driver will not look.
func Values(ctx context.Context, args []driver.NamedValue) ([]driver.Value, error) {
	values := make([]driver.Value, len(args))
	for i, a := range args {
		if a.Name != "" {
			return nil, errors.New("sql: driver does not support the use of Named Parameters")
		}
		values[i] = a.Value
	}
	return values, ctx.Err()
}
