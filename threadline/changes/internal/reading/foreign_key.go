package reading

import (
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// ForeignKey is a foreign key of a table, or one that refers to it.
type ForeignKey struct {
	Name                string
	Child, Parent       int64 // OIDs
	ChildName           string
	ParentName          string
	Columns, References []string
	OnDelete, OnUpdate  string // pg_constraint.confdeltype
	Captured            bool   // the child
	Acts                bool   // its triggers are enabled
	// ChildSecured and ParentSecured say that row-level security may hide rows of theirs from this role. ChildSecures
	// says that it is enabled, and may hide them from others.
	ChildSecured, ParentSecured, ChildSecures bool

	Same []SQLiteEquality // what it takes for the same in Columns
}

// What a foreign key does with rows that refer to one which goes.
const (
	Cascades   = "c"
	SetNull    = "n"
	SetDefault = "d"
)

// foreignKeysWhere are the foreign keys k with a condition. Those that partitions have from their
// parent are left out.
func foreignKeysWhere(condition string) string {
	name := func(c, n string) string {
		return `pg_catalog.concat('"', pg_catalog.replace(` + n + `.nspname, '"', '""'), '"."', pg_catalog.replace(` + c + `.relname, '"', '""'), '"')`
	}
	columns := func(list, table string) string {
		return `(SELECT pg_catalog.json_agg(a.attname ORDER BY x.n) FROM pg_catalog.unnest(` + list + `) WITH ORDINALITY x (number, n) JOIN pg_catalog.pg_attribute a ON a.attrelid = ` + table + ` AND a.attnum = x.number)`
	}
	return `(SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', k.conname, 'child', k.conrelid::pg_catalog.int8, 'parent', k.confrelid::pg_catalog.int8,
		'childname', ` + name("cc", "cn") + `, 'parentname', ` + name("pc", "pn") + `, 'columns', ` + columns("k.conkey", "k.conrelid") + `, 'references', ` + columns("k.confkey", "k.confrelid") + `,
		'ondelete', k.confdeltype, 'onupdate', k.confupdtype,
		'acts', EXISTS (SELECT FROM pg_catalog.pg_trigger g WHERE g.tgconstraint = k.oid AND g.tgrelid = k.confrelid AND g.tgenabled IN ('O', 'A')),
		'childsecured', pg_catalog.row_security_active(k.conrelid), 'parentsecured', pg_catalog.row_security_active(k.confrelid), 'childsecures', cc.relrowsecurity, 'captured', EXISTS (SELECT FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
			WHERE g.tgrelid = k.conrelid AND g.tgname OPERATOR(pg_catalog.~~) '` + catalog.RowTrigger + `%' AND n.nspname = $2)) ORDER BY k.oid)
		FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class cc ON cc.oid = k.conrelid JOIN pg_catalog.pg_namespace cn ON cn.oid = cc.relnamespace
		JOIN pg_catalog.pg_class pc ON pc.oid = k.confrelid JOIN pg_catalog.pg_namespace pn ON pn.oid = pc.relnamespace
		WHERE k.contype = 'f' AND k.conparentid = 0::pg_catalog.oid AND ` + condition + `)`
}
