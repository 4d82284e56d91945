package river

import (
	"context"
	"fmt"
	"strings"

	"github.com/riverqueue/river/rivermigrate"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
)

// check says what is missing before the first transaction does.
func (t *tables) check(ctx context.Context, p purpose) error {
	if err := t.diagnose(ctx, p); err != nil {
		return fmt.Errorf("river: %w", err)
	}
	m, err := rivermigrate.New(t.driver(), &rivermigrate.Config{Schema: t.schema})
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

// name returns how statements name one of River's tables, with its schema if there is such
// a table.
func (t *tables) name(ctx context.Context, table string) (string, error) {
	if t.schema != "" {
		return qualified(t.schema, table), nil
	}
	schema, err := t.dialect.found(ctx, t.db)
	if err != nil {
		return "", fmt.Errorf("river: look for River's tables: %w", err)
	}
	return qualified(schema, table), nil
}
