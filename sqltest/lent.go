package sqltest

import (
	"context"
	"database/sql"
	"errors"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Lent returns db as the driver lends a connection, for tests that call a [hooks.Handler], or
// the journal, themselves. Of nil it is nil.
func Lent(db *sql.DB) hooks.Conn {
	if db == nil {
		return nil
	}
	return lent{db}
}

type lent struct{ hooks.Handle }

func (l lent) QueryRow(ctx context.Context, query string) (row []string, n int64, err error) {
	rows, err := l.DB().QueryContext(ctx, query)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for ; rows.Next(); n++ {
		columns, err := rows.Columns()
		if err != nil {
			return nil, 0, err
		}
		values, dest := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			dest[i] = &values[i]
		}
		if err := rows.Scan(dest...); err != nil {
			return nil, 0, err
		}
		row = make([]string, len(values))
		for i := range values {
			row[i] = values[i].String
		}
	}
	return row, n, rows.Err()
}

func (l lent) DB() *sql.DB { return l.Handle.(*sql.DB) }
