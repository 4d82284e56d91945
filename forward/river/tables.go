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

// named returns a function for how statements name River's tables, with their schema if
// there are such tables.
func (t *tables) named(ctx context.Context) (func(table string) string, error) {
	schema := t.schema
	if schema == "" {
		var err error
		if schema, err = t.dialect.found(ctx, t.db); err != nil {
			return nil, fmt.Errorf("river: look for River's tables: %w", err)
		}
	}
	return func(table string) string { return qualified(schema, table) }, nil
}

// name returns how statements name one of them.
func (t *tables) name(ctx context.Context, table string) (string, error) {
	name, err := t.named(ctx)
	if err != nil {
		return "", err
	}
	return name(table), nil
}
