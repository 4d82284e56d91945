package catalog

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/nildb"
	"github.com/go-aftercommit/aftercommit/internal/otherdialect"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
)

// Database is a database in which row changes are captured.
type Database struct {
	DB      *sql.DB
	Dialect hooks.Dialect
	// Schema is that of the tables of changes, unquoted; on SQLite the prefix of their names.
	Schema string
	// Maker is the function that was given the dialect.
	Maker string
}

// New returns db with the tables of changes in a schema, "threadline" if it is "", for a function of that name.
func New(db *sql.DB, dialect hooks.Dialect, schema, maker string) *Database {
	return &Database{DB: nildb.Replace(db), Dialect: dialect, Schema: cmp.Or(schema, "threadline"), Maker: maker}
}

// Explain returns an error of the first question to the database, with what to do if it speaks another dialect than the one that
// the maker was given.
func (s *Database) Explain(err error) error {
	if other := s.OtherDialect(err); other != nil {
		return other
	}
	return err
}

// OtherDialect is what Explain returns of such an error, and nil of others.
func (s *Database) OtherDialect(err error) error {
	return otherdialect.Explain(s.Dialect, s.Maker, err)
}

// At returns the qualified name of something in the schema.
func (s *Database) At(name string) string {
	return pgschema.Ident(s.Schema) + "." + pgschema.Ident(name)
}

// Supported refuses databases on which row changes are not captured, and names that PostgreSQL would truncate.
func (s *Database) Supported() error {
	switch {
	case s.Dialect == hooks.SQLite:
		return nil
	case s.Dialect != hooks.Postgres:
		return fmt.Errorf("changes: row changes are captured on PostgreSQL and SQLite, not on %s", s.Dialect)
	case len(s.Schema) > pgschema.LongestName:
		return fmt.Errorf("changes: Options.Schema has %d bytes, and PostgreSQL keeps %d of a name", len(s.Schema), pgschema.LongestName)
	}
	return nil
}

// ErrNotMigrated means that the tables of changes are missing.
var ErrNotMigrated = errors.New("changes: the tables are not there: run capture.Installer.Migrate first")

// NotMigrated returns an error that says what to do if err means that the tables of changes are not there, else nil.
func NotMigrated(err error) error {
	switch hooks.SQLState(err) {
	case "42P01", "3F000": // undefined table, or schema
		return fmt.Errorf("%w: %w", ErrNotMigrated, err)
	}
	return nil
}

// historyMissing reports whether err is the database's, and names one of the tables of changes: the app's may be missing, too.
func historyMissing(err error) bool {
	return !errors.Is(err, ErrNotMigrated) && NotMigrated(err) != nil && strings.Contains(err.Error(), `audit_`)
}

// errRights says where the grants are listed.
var errRights = errors.New("what to grant is in Rights in the README of package changes")

// errEncoding is about bytes of a database of encoding SQL_ASCII, which are not checked there.
var errEncoding = errors.New("the database has texts that are not in the session's client_encoding: read them with client_encoding SQL_ASCII, as pgx does by default")

// Wrap says what an error was in, and where to read on if this role lacks a right. If the tables of changes are missing it says that alone.
func Wrap(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case historyMissing(err):
		return NotMigrated(err)
	case hooks.SQLState(err) == "42501" && !errors.Is(err, errRights):
		return fmt.Errorf("changes: %s: %w: %w", what, InPackage("", err), errRights)
	case hooks.SQLState(err) == "22021" && !errors.Is(err, errEncoding):
		return fmt.Errorf("changes: %s: %w: %w", what, InPackage("", err), errEncoding)
	}
	return fmt.Errorf("changes: %s: %w", what, InPackage("", err))
}

// Querier is a *sql.DB, *sql.Tx or *sql.Conn.
type Querier interface {
	pgschema.Querier
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// ReadAll returns what scan makes of each row that a query returns.
func ReadAll[T any](ctx context.Context, db Querier, scan func(*sql.Rows) (T, error), query string, args ...any) (list []T, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, rows.Err()
}

// Beginner is a *sql.DB or *sql.Conn.
type Beginner interface {
	BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error)
}

// BeginRead begins a transaction that reads the history. It reads little, along indexes, but PostgreSQL has no good estimate of
// how much. A server that expects much would compile the statements (JIT), which takes longer than they then run.
func (s *Database) BeginRead(ctx context.Context, db Beginner, opts *sql.TxOptions) (*sql.Tx, error) {
	tx, err := db.BeginTx(ctx, opts)
	if err != nil || s.Dialect != hooks.Postgres {
		return tx, s.Explain(err)
	}
	if _, err = tx.ExecContext(ctx, "SET LOCAL jit = off"); err != nil {
		return nil, errors.Join(s.Explain(err), tx.Rollback())
	}
	return tx, nil
}

// InTx runs f in a transaction.
func (s *Database) InTx(ctx context.Context, opts *sql.TxOptions, f func(tx *sql.Tx) error) error {
	tx, err := s.DB.BeginTx(ctx, opts)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}
