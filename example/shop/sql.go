package shop

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
)

// Dialect is the SQL that the shop's database speaks.
type Dialect int

// The databases that the shop runs on.
const (
	SQLite Dialect = iota
	Postgres
)

// Execer is what helper functions write through: a *sql.DB or a *sql.Tx.
type Execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// bind turns the placeholders ? into $1, $2, … where the database wants them.
// The shop's statements have no other question marks.
func (d Dialect) bind(query string) string {
	if d != Postgres {
		return query
	}
	var b strings.Builder
	n := 0
	for _, r := range query {
		if r != '?' {
			b.WriteRune(r)
			continue
		}
		n++
		b.WriteString("$" + strconv.Itoa(n))
	}
	return b.String()
}

func (s *Shop) exec(ctx context.Context, db Execer, query string, args ...any) (int64, error) {
	res, err := db.ExecContext(ctx, s.dialect.bind(query), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// get scans the one row of a query; [ErrNotFound] if there is none.
func (s *Shop) get(ctx context.Context, db Execer, query string, args []any, dst ...any) error {
	err := db.QueryRowContext(ctx, s.dialect.bind(query), args...).Scan(dst...)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// insert runs an INSERT … RETURNING id.
func (s *Shop) insert(ctx context.Context, db Execer, query string, args ...any) (id int64, err error) {
	err = s.get(ctx, db, query, args, &id)
	return id, err
}

// inTx runs f in a transaction, which ends with it.
func (s *Shop) inTx(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}
