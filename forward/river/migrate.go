package river

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/riverqueue/river/rivermigrate"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Migrate makes River's tables or brings them up to date, in a schema that
// exists, or where River looks by itself if that is empty. It is the same as
// River's own `river migrate-up`.
func Migrate(ctx context.Context, db *sql.DB, dialect hooks.Dialect, schema string) error {
	driver, err := newDriver(dialect, db)
	if err != nil {
		return err
	}
	m, err := rivermigrate.New(driver, &rivermigrate.Config{Schema: schema})
	if err != nil {
		return fmt.Errorf("river: migrate: %w", err)
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("river: migrate: %w", err)
	}
	return nil
}

// checkTables says what is missing before the first transaction does.
func checkTables(ctx context.Context, driver riverDriver, schema string) error {
	m, err := rivermigrate.New(driver, &rivermigrate.Config{Schema: schema})
	if err != nil {
		return fmt.Errorf("river: %w", err)
	}
	result, err := m.Validate(ctx, nil)
	if err != nil {
		return fmt.Errorf("river: look for River's tables: %w", err)
	}
	if !result.OK {
		return fmt.Errorf("river: River's tables are missing or old, run river.Migrate or `river migrate-up`: %s",
			strings.Join(result.Messages, "; "))
	}
	return nil
}

// checkRights says what this role may not do that inserting a job takes.
func checkRights(ctx context.Context, conn *sql.DB, schema string) error {
	table := "river_job"
	if schema != "" {
		table = schema + "." + table
	}
	// River inserts ON CONFLICT DO NOTHING, which takes SELECT.
	var (
		may  bool
		role string
	)
	err := conn.QueryRowContext(ctx, "SELECT pg_catalog.has_table_privilege(pg_catalog.to_regclass($1), 'INSERT') AND pg_catalog.has_table_privilege(pg_catalog.to_regclass($1), 'SELECT')"+
		" AND pg_catalog.has_sequence_privilege(pg_catalog.to_regclass(pg_catalog.concat($1::pg_catalog.text, '_id_seq')), 'USAGE'), pg_catalog.quote_ident(current_user)", table).Scan(&may, &role)
	switch {
	case err != nil:
		return fmt.Errorf("river: look for the right to insert jobs: %w", err)
	case !may:
		return fmt.Errorf("river: role %s may not insert jobs: run as the owner of River's tables: GRANT INSERT, SELECT ON %s TO %s; GRANT USAGE ON SEQUENCE %s_id_seq TO %s; "+
			"to work them it needs all rights on River's tables, or set Options.Relay to RelayElsewhere and call Hub.Work as a role that has them", role, table, role, table, role)
	}
	return nil
}
