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

var errNoTables = errors.New("river: River's tables are missing, run river.Migrate or `river migrate-up`")

// checkTables says what is missing before the first transaction does. rights are for
// PostgreSQL, and purpose is what they are for.
func checkTables(ctx context.Context, db *sql.DB, dialect hooks.Dialect, schema string, rights []right, purpose string) error {
	driver, err := newDriver(dialect, db)
	if err != nil {
		return err
	}
	if dialect == hooks.Postgres && schema != "" {
		if err = checkSchema(ctx, db, schema, rights, purpose); err != nil {
			return err
		}
	}
	m, err := rivermigrate.New(driver, &rivermigrate.Config{Schema: schema})
	if err != nil {
		return fmt.Errorf("river: %w", err)
	}
	result, err := m.Validate(ctx, nil)
	switch {
	case pgschema.Denied(err):
		return fmt.Errorf("%w: %w", lacking(ctx, db, schema, rights, purpose), err)
	case err != nil:
		return fmt.Errorf("river: look for River's tables: %w", err)
	case !result.OK:
		return fmt.Errorf("river: River's tables are missing or old, run river.Migrate or `river migrate-up`: %s",
			strings.Join(result.Messages, "; "))
	case dialect != hooks.Postgres:
		return nil
	}
	return checkRights(ctx, db, schema, rights, purpose)
}

// checkSchema looks for a schema: a role that may not use it cannot see what is in it.
func checkSchema(ctx context.Context, db *sql.DB, schema string, rights []right, purpose string) error {
	var usable bool
	err := db.QueryRowContext(ctx, "SELECT pg_catalog.has_schema_privilege(oid, 'USAGE') FROM pg_catalog.pg_namespace WHERE nspname = "+pgtext.Literal(schema)).Scan(&usable)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("river: there is no schema %s (upper and lower case count): create it and run river.Migrate, or correct Schema of River's Config", pgschema.Ident(schema))
	case err != nil:
		return fmt.Errorf("river: look for schema %s: %w", schema, err)
	case !usable:
		return lacking(ctx, db, schema, rights, purpose)
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

// jobTable returns the name of the table of jobs for a statement, with its schema.
func jobTable(ctx context.Context, db *sql.DB, dialect hooks.Dialect, schema string) (string, error) {
	if schema != "" || dialect != hooks.Postgres {
		return qualified(schema, "river_job"), nil
	}
	err := db.QueryRowContext(ctx, "SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = pg_catalog.to_regclass('river_job')").Scan(&schema)
	if errors.Is(err, sql.ErrNoRows) {
		return "", errNoTables
	}
	if err != nil {
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
