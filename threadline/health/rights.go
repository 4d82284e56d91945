package health

import (
	"cmp"
	"context"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// What a role reads to answer every question, as the README of package changes has it: of the timeline and the history, and of the journal.
var (
	historyTables = []string{
		"audit_changes", "audit_shapes", "audit_captures", "audit_gaps", "audit_purges", "audit_copies", "audit_contexts", "audit_eventless", "audit_actions", "audit_transactions",
	}
	journalTables = []string{"journal", "journal_purges", "schema_versions", "cursors", "retries"}
)

// rights checks whether this role may read what there is of these tables.
func (c *checker) rights(ctx context.Context) {
	const part = "rights"
	if c.dialect == hooks.SQLite {
		return // it has no roles
	}
	schema := cmp.Or(c.opts.Schema, "threadline")
	in := func(schema string, tables []string) string {
		return "n.nspname = " + pgtext.Literal(schema) + " AND c.relname IN ('" + strings.Join(tables, "', '") + "')"
	}
	lacking := func(of string) (names string, err error) {
		err = c.db.QueryRowContext(ctx, `SELECT coalesce(pg_catalog.string_agg(pg_catalog.concat(pg_catalog.quote_ident(n.nspname), '.', c.relname), ', ' ORDER BY c.relname), '')
			FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v') AND `+of+`
			AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT'))`).Scan(&names)
		return names, err
	}
	var role string
	err := c.db.QueryRowContext(ctx, "SELECT current_user::pg_catalog.text").Scan(&role)
	for _, of := range []struct{ schema, query, without string }{
		{schema, in(schema, historyTables), "some questions about rows and actions are refused, or have no answer"},
		{"aftercommit", in("aftercommit", journalTables), "who made a change is not known where its events are on their way, or there were none"},
	} {
		var names string
		if err == nil {
			names, err = lacking(of.query)
		}
		if err != nil {
			c.unknown(part, err)
			return
		}
		if names != "" {
			to := " TO " + pgschema.Ident(role)
			c.add(part, Notice, "GRANT USAGE ON SCHEMA "+pgschema.Ident(of.schema)+to+"; GRANT SELECT ON "+names+to, "role %s may not read %s: %s", role, names, of.without)
		}
	}
}
