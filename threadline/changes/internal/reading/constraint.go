package reading

import (
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
)

// CheckConstraint is a CHECK or, without a name, the condition that a partition is for the row.
type CheckConstraint struct {
	Name, Expression string
	Columns          []string
	Inert            bool // it calls only PostgreSQL's own functions
}

// String says what is in the way.
func (c *CheckConstraint) String() string {
	if c.Name == "" {
		return "no partition is for the row"
	}
	return "CHECK " + pgschema.Ident(c.Name)
}

// checksOf is an expression for the constraints of the table c, as JSON. It needs the partition tree of c as tree.oids.
var checksOf = `(SELECT pg_catalog.json_agg(x.x) FROM (
		SELECT pg_catalog.json_build_object('name', k.conname, 'expression', pg_catalog.pg_get_expr(k.conbin, k.conrelid), 'inert', NOT ` + dependsOnOthers("c.oid") + `,
			'columns', (SELECT pg_catalog.json_agg(a.attname) FROM pg_catalog.unnest(k.conkey) x (number) JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = x.number)) AS x
		FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c'
		UNION ALL SELECT pg_catalog.json_build_object('expression', pg_catalog.concat('coalesce(', coalesce(leaves.list, 'false'), ', false)'), 'columns', keys.columns, 'inert', keys.inert)
		FROM (SELECT pg_catalog.string_agg(pg_catalog.concat('(', pg_catalog.pg_get_partition_constraintdef(p.relid), ')'), ' OR ') FROM pg_catalog.pg_partition_tree(c.oid) p WHERE p.isleaf AND p.level > 0) leaves (list),
			(SELECT pg_catalog.json_agg(DISTINCT a.attname), pg_catalog.bool_and(d.partexprs IS NULL AND NOT EXISTS (SELECT FROM pg_catalog.pg_opclass o WHERE o.oid = ANY (d.partclass) AND o.opcnamespace <> 'pg_catalog'::pg_catalog.regnamespace::pg_catalog.oid))
				FROM pg_catalog.pg_partitioned_table d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.partrelid AND a.attnum = ANY (d.partattrs) WHERE d.partrelid = ANY (tree.oids)) keys (columns, inert)
		WHERE c.relkind = 'p' AND keys.columns IS NOT NULL) x)`

// dependsOnOthers is the condition that a constraint k of an object may execute what is not PostgreSQL's own. The catalog keeps no
// dependency on what is, but functions that are not IMMUTABLE count, too: ts_rewrite and query_to_xml execute whatever a text
// says. Enums do not count, because to look up a label calls no function of a role.
func dependsOnOthers(object string) string {
	return `(EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass::pg_catalog.oid AND d.objid = k.oid AND d.refobjid <> ` + object + `
		AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass::pg_catalog.oid AND e.oid = d.refobjid AND e.typtype = 'e'))
		OR EXISTS (SELECT FROM pg_catalog.regexp_matches(k.conbin::pg_catalog.text, ':(?:funcid|opfuncid) ([0-9]+)', 'g') m (found) JOIN pg_catalog.pg_proc p ON p.oid = m.found[1]::pg_catalog.oid WHERE p.provolatile <> 'i'))`
}

// typesWithin is a condition for the type of a column a: that there is one t, of those that it is made of, for which another holds.
func typesWithin(condition string) string {
	return `EXISTS (WITH RECURSIVE m (type) AS (SELECT a.atttypid UNION SELECT x.type FROM m JOIN pg_catalog.pg_type t ON t.oid = m.type CROSS JOIN LATERAL (
				SELECT t.typelem WHERE t.typelem <> 0::pg_catalog.oid AND t.typcategory = 'A' UNION ALL SELECT t.typbasetype WHERE t.typtype = 'd'
				UNION ALL SELECT p.atttypid FROM pg_catalog.pg_attribute p WHERE t.typtype = 'c' AND p.attrelid = t.typrelid AND p.attnum > 0 AND NOT p.attisdropped) x (type))
			SELECT FROM m JOIN pg_catalog.pg_type t ON t.oid = m.type WHERE t.typnamespace <> 'pg_catalog'::pg_catalog.regnamespace::pg_catalog.oid AND (` + condition + `))`
}

// constrained is a condition for a type t: that its values are read by what a role has made. Only a superuser makes functions that read those of
// a base type.
var constrained = `t.typtype NOT IN ('b', 'c', 'd', 'e') OR EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid AND ` + dependsOnOthers("t.oid") + `)`

var (
	constrainedType = typesWithin(constrained)
	inertType       = `NOT ` + typesWithin(`t.typtype = 'b' AND NOT (t.typelem <> 0::pg_catalog.oid AND t.typcategory = 'A') OR `+constrained)
)
