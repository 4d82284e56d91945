package river

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/riverqueue/river/rivermigrate"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Migrate makes River's tables or brings them up to date, in a schema that
// exists, or where River looks by itself if that is empty. It is the same as
// River's own `river migrate-up`.
func Migrate(ctx context.Context, db *sql.DB, dialect hooks.Dialect, schema string) (err error) {
	t, err := tablesOf(db, dialect, schema)
	if err != nil {
		return err
	}
	defer t.explain(ctx, toMigrate, &err)
	m, err := rivermigrate.New(t.driver(), &rivermigrate.Config{Schema: schema})
	if err != nil {
		return fmt.Errorf("river: migrate: %w", err)
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("river: migrate: %w", err)
	}
	return nil
}
