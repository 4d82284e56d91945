package driver

import (
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// leftOut reports whether AllTables leaves a table out. It goes by whole names:
// an app may well call a table river_stations.
func leftOut(d hooks.Dialect, n tableName) bool {
	if slices.Contains(toolTables, n.table) || isDefault(d, n.schema) && slices.Contains(commonTables, n.table) {
		return true
	}
	if d == hooks.SQLite {
		// SQLite reserves the prefix.
		return strings.HasPrefix(n.table, "sqlite_") || slices.Contains(ownTables, n.table)
	}
	return slices.Contains(ownSchemas, n.schema) || d == hooks.MySQL && slices.Contains(mysqlSchemas, n.schema)
}

// ownSchemas are ours, and the catalogs.
var ownSchemas = []string{"aftercommit", "threadline", "pg_catalog", "information_schema", "pg_toast"}

// mysqlSchemas are MySQL's, which an app may call its own elsewhere.
var mysqlSchemas = []string{"mysql", "sys", "performance_schema"}

// ownTables are ours on SQLite.
var ownTables = []string{
	"aftercommit_events", "aftercommit_record", "aftercommit_forwarders", "aftercommit_failures", "aftercommit_settled",
	"aftercommit_workers", "aftercommit_purges", "aftercommit_schema_versions",
	"threadline_audit_actions", "threadline_record", "threadline_schema_version",
}

// toolTables are River's, and the version tables of migration tools, which may
// be in any schema.
var toolTables = []string{
	"river_job", "river_queue", "river_leader", "river_client", "river_client_queue", "river_migration",
	"schema_migrations", "goose_db_version", "goose_lock", "gorp_migrations", "flyway_schema_history",
	"bun_migrations", "bun_migration_locks", "atlas_schema_revisions", "alembic_version",
	"databasechangelog", "databasechangeloglock", "darwin_migrations",
}

// commonTables are those whose names an app may choose, too. In another schema
// than the default one they are the app's.
var commonTables = []string{"schema_version"}
