package river

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/riverqueue/river/rivermigrate"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/internal/sqlitetext"
)

// checkTables says what is missing before the first transaction does.
func checkTables(ctx context.Context, db *sql.DB, dialect hooks.Dialect, schema string, p purpose) error {
	driver, err := newDriver(dialect, db)
	if err != nil {
		return err
	}
	if err = diagnose(ctx, db, dialect, schema, p); err != nil {
		return fmt.Errorf("river: %w", err)
	}
	m, err := rivermigrate.New(driver, &rivermigrate.Config{Schema: schema})
	if err != nil {
		return fmt.Errorf("river: %w", err)
	}
	result, err := m.Validate(ctx, nil)
	switch {
	case err != nil:
		return fmt.Errorf("river: look for River's tables: %w", err)
	case !result.OK:
		return fmt.Errorf("river: River's tables are missing or old, run river.Migrate or `river migrate-up`: %s",
			strings.Join(result.Messages, "; "))
	}
	return nil
}

// qualified returns how statements name one of River's tables, or its sequence.
func qualified(schema, name string) string {
	if schema == "" {
		return name
	}
	return pgschema.Ident(schema) + "." + name
}

// jobTable returns the name of the table of jobs for a statement, with its schema if there
// is such a table.
func jobTable(ctx context.Context, db *sql.DB, dialect hooks.Dialect, schema string) (string, error) {
	if schema != "" || dialect != hooks.Postgres {
		return qualified(schema, "river_job"), nil
	}
	err := db.QueryRowContext(ctx, "SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = pg_catalog.to_regclass('river_job')").Scan(&schema)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("river: look for River's tables: %w", err)
	}
	return qualified(schema, "river_job"), nil
}

// literal writes a text, which is ASCII, into a statement.
func literal(dialect hooks.Dialect, text string) string {
	if dialect == hooks.Postgres {
		return pgtext.Literal(text)
	}
	return sqlitetext.Literal(text)
}
