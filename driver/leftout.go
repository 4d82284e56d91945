package driver

import "slices"

// leftOut reports whether AllTables leaves a table out. It compares whole names:
// an app may well call a table river_stations.
func leftOut(d naming, n tableName) bool {
	return slices.Contains(toolTables, n.table) || d.isDefault(n.schema) && slices.Contains(commonTables, n.table) || d.isOwn(n)
}

// ownSchemas are ours, and the catalogs.
var ownSchemas = []string{"aftercommit", "threadline", "pg_catalog", "information_schema", "pg_toast"}

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
