package threadline

import (
	_ "embed" // the scripts
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// Check reads the version with whatever role the app has.
const versionGrant = "	GRANT SELECT ON {schema}.schema_version TO PUBLIC;\n"

// schemaVersion is what this package makes and needs.
const schemaVersion = 1

var (
	//go:embed schema/postgres.sql
	postgresHeader string
	//go:embed schema/postgres_tables.sql
	postgresTables string
	//go:embed schema/sqlite.sql
	sqliteScript string
)

// Schema returns the SQL that makes the tables, for migrations by other means than
// [Store.Migrate]. On PostgreSQL it is one statement, which may be run again. On SQLite it
// is to be run once, in a transaction. It returns "" for a dialect that the package does
// not know.
func Schema(dialect hooks.Dialect, opts *Options) string {
	switch dialect {
	case hooks.Postgres, hooks.SQLite:
		return opts.names(dialect).script(dialect)
	}
	return ""
}

func (n names) script(dialect hooks.Dialect) string {
	if dialect == hooks.SQLite {
		prefix := strings.TrimSuffix(quoteIdent(n.schema+"_"), `"`)
		return strings.ReplaceAll(sqliteScript, `"threadline_`, prefix)
	}
	named := strings.NewReplacer(`"threadline"`, quoteIdent(n.schema), `'threadline'`, pgtext.Literal(n.schema))
	return named.Replace(postgresHeader) + pgschema.Script{
		Program: "threadline", Schema: n.schema, Body: named.Replace(postgresTables), Grants: versionGrant,
		Lock: named.Replace("pg_catalog.hashtextextended('threadline', 7355608)"),
	}.Install()
}
