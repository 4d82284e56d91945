package catalog

import (
	"context"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// Copied reports whether the histories are copies of those of another database: see changes.Source.Copy. Then the tables and the journal
// of this database have nothing to do with them, whatever their names are. It needs no rights on the tables.
func (s *Database) Copied(ctx context.Context, q pgschema.Querier) (is bool, err error) {
	if s.Dialect != hooks.Postgres {
		return false, nil
	}
	err = q.QueryRowContext(ctx, "SELECT coalesce((SELECT pg_catalog.pg_relation_size(c.oid) > 0 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = "+
		pgtext.Literal(s.Schema)+" AND c.relname = 'audit_copies'), false)").Scan(&is)
	return is, Wrap("look for copied row changes", err)
}

// Migrated reports whether there is the table that says what is captured. It needs no rights on it.
func (s *Database) Migrated(ctx context.Context, q pgschema.Querier) (is bool, err error) {
	err = q.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = "+
		pgtext.Literal(s.Schema)+" AND c.relname = 'audit_captures')").Scan(&is)
	return is, Wrap("look for the tables", err)
}
