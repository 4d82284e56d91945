package driver

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
)

// Rules say which tables are captured.
type Rules struct {
	all    bool
	only   []tableName
	except []tableName
	err    error
}

type tableName struct{ schema, table string } // lower case; schema may be ""

// AllTables captures every table but those that are no business of an audit
// trail: its own, migration tools' version tables, River's queues, temporary
// tables and the database's catalogs.
func AllTables() *Rules { return &Rules{all: true} }

// Tables captures the named tables only: "orders" in whatever schema, or
// "billing.orders". Case does not matter.
func Tables(names ...string) *Rules {
	r := &Rules{}
	r.only = r.parse("Tables", names)
	return r
}

// Except leaves out tables that r would capture.
func (r *Rules) Except(names ...string) *Rules {
	r.except = append(r.except, r.parse("Except", names)...)
	return r
}

func (r *Rules) parse(verb string, names []string) []tableName {
	tables := make([]tableName, 0, len(names))
	for _, n := range names {
		schema, table, qualified := strings.Cut(strings.ToLower(n), ".")
		if !qualified {
			schema, table = "", schema
		}
		if table == "" || (qualified && schema == "") {
			r.err = fmt.Errorf("%s(%q): name a table, or schema.table", verb, n)
			continue
		}
		tables = append(tables, tableName{schema, table})
	}
	if len(names) == 0 {
		r.err = fmt.Errorf("%s() without a table: name at least one", verb)
	}
	return tables
}

// match reports whether writes to t are captured. A nil r matches nothing.
func (r *Rules) match(t lex.Table) bool {
	if r == nil {
		return false
	}
	n := tableName{strings.ToLower(t.Schema), strings.ToLower(t.Name)}
	if matchAny(r.except, n) {
		return false
	}
	if r.all {
		return !internalTable(n)
	}
	return matchAny(r.only, n)
}

func matchAny(rules []tableName, n tableName) bool {
	return slices.ContainsFunc(rules, func(r tableName) bool {
		return r.table == n.table && (r.schema == "" || r.schema == n.schema)
	})
}

// migrationTables are the version tables of well-known migration tools.
var migrationTables = []string{
	"schema_migrations", "goose_db_version", "goose_lock", "gorp_migrations", "flyway_schema_history",
	"bun_migrations", "bun_migration_locks", "atlas_schema_revisions", "alembic_version",
	"databasechangelog", "databasechangeloglock", "darwin_migrations", "schema_version",
}

func internalTable(n tableName) bool {
	switch n.schema {
	case "aftercommit", "threadline", "pg_catalog", "information_schema", "pg_temp", "temp":
		return true
	}
	for _, prefix := range []string{"aftercommit_", "threadline_", "river_", "sqlite_"} {
		if strings.HasPrefix(n.table, prefix) {
			return true
		}
	}
	return slices.Contains(migrationTables, n.table)
}
