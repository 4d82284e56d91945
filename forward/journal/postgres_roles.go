package journal

import (
	"context"
	"database/sql"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
)

// SQLSTATEs.
const (
	undefinedTable    = "42P01"
	undefinedFunction = "42883"
	invalidSchema     = "3F000"
)

// grantError is the error for a role that may not write.
func (p *postgres) grantError(roles pgschema.Roles) error {
	grant := p.grants(roles)
	return &SetupError{
		Problem: roles.Who() + " may not write to it",
		Remedy:  "run as " + roles.Whose() + ", which owns schema " + p.schema + ": " + grant, SQL: grant,
		denied: true,
	}
}

// grants is what a role needs to write.
func (p *postgres) grants(roles pgschema.Roles) string {
	return roles.Grant(p.named(`GRANT USAGE ON SCHEMA "{schema}" TO {role}; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA "{schema}" TO {role}`))
}

// explain implements store.
func (p *postgres) explain(ctx context.Context, db *sql.DB, err error, table bool) error {
	switch state := hooks.SQLState(err); {
	case state == undefinedTable, state == invalidSchema:
		return &SetupError{
			Problem: "its tables are missing in schema " + p.schema,
			Remedy:  "start a program that makes them, or run what journal.Schema(hooks.Postgres, options) returns",
			SQL:     p.schemaSQL(), Err: err,
		}
	case !pgschema.Denied(err):
		return explainDialect(hooks.Postgres, err)
	}
	roles := pgschema.Ask(ctx, db, p.schema)
	grant := p.grants(roles)
	if table {
		grant = roles.Grant(p.named(`GRANT USAGE ON SCHEMA "{schema}" TO {role}; GRANT SELECT ON "{schema}".journal TO {role}`))
	}
	return &SetupError{
		Problem: roles.Who() + " may not read it",
		Remedy:  "connect as " + roles.Whose() + ", which owns schema " + p.schema + ", or run as that role: " + grant,
		SQL:     grant, Err: err, denied: true,
	}
}
