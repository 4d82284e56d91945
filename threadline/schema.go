package threadline

import "github.com/go-aftercommit/aftercommit/hooks"

// schemaVersion is what this package makes and needs.
const schemaVersion = 1

// Schema returns the SQL that makes the tables, for migrations by other means than
// [Store.Migrate]. On PostgreSQL it is one statement, which may be run again. On SQLite it
// is to be run once, in a transaction. It returns "" for a dialect that the package does
// not know.
func Schema(dialect hooks.Dialect, opts *Options) string {
	d := dialects[dialect]
	if d == nil {
		return ""
	}
	return d.script(d.names(opts.schema()))
}
