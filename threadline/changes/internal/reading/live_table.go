package reading

import (
	"context"
	"database/sql"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// LiveTable is a table as it is now, with what decides whether statements on it succeed.
type LiveTable struct {
	Name       string // qualified, in quotes
	OID        int64
	Subtables  bool // it has children by inheritance, and is not partitioned
	Columns    []LiveColumn
	Uniques    []uniqueKey
	Unproven   []uniqueKey // those in which an undo does not look up whether values are free
	Checks     []CheckConstraint
	Keys       []*ForeignKey // from this table
	Referred   []*ForeignKey // to it
	Triggers   []LiveTrigger
	Rules      bool // it has rewrite rules, or had some
	Rewrites   []LiveRule
	Secured    bool // row-level security may hide rows from this role
	Readable   bool // this role may read it
	Deferrable []string

	Now         *catalog.Shape // as it is now
	Settings    []string       // which its types' texts depend on
	Capturing   bool           // triggers fire
	Partitioned bool
	Partitions  []string // qualified, in quotes
	Detached    []string // the partitions of the last plan that it has no more, at least under their names
	Locator     string   // an expression for where a row is: of its place in the table, or its number
	Identity    []string // on SQLite: the columns that are a row's place
	Enforces    bool     // there: PRAGMA foreign_keys is on
}

// uniqueKey is a unique index on columns, whose rows with NULL are not compared; or, if it is in Unproven, another
// one: on expressions, partial, of an exclusion constraint, or with NULLS NOT DISTINCT.
type uniqueKey struct {
	Name      string   // in Unproven
	Columns   []string // of Unproven those that it depends on
	Immediate bool     // and not at the end of a statement, or transaction

	Same []SQLiteEquality // what it takes for the same in Columns
}

// liveQuery describes a table as one JSON document. Most columns have a type of PostgreSQL's own, of which nothing has to be looked up.
var liveQuery = `SELECT pg_catalog.json_build_object('name', ` + catalog.QualifiedName + `, 'oid', c.oid::pg_catalog.int8, 'subtables', c.relhassubclass AND c.relkind <> 'p', 'secured', pg_catalog.row_security_active(c.oid),
	'readable', pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT'),
	'columns', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', a.attname, 'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
		'space', pg_catalog.quote_ident(tn.nspname), 'generated', a.attgenerated <> '', 'always', a.attidentity = 'a', 'notnull', a.attnotnull, 'default', a.atthasdef OR a.attidentity <> '', 'domain', t.typtype = 'd', 'inert', ` + ownType + ` OR (` + inertType + `), 'constrained', NOT (` + ownType + `) AND ` + constrainedType + `,
		'base', CASE WHEN t.typtype <> 'd' THEN pg_catalog.format_type(t.oid, -1) ELSE (WITH RECURSIVE b (type) AS (SELECT a.atttypid UNION ALL SELECT t.typbasetype FROM b JOIN pg_catalog.pg_type t ON t.oid = b.type WHERE t.typtype = 'd')
			SELECT pg_catalog.format_type(t.oid, -1) FROM b JOIN pg_catalog.pg_type t ON t.oid = b.type WHERE t.typtype <> 'd') END,
		'equal', CASE WHEN ` + ownType + ` THEN 'pg_catalog' ELSE (WITH RECURSIVE b (type) AS (SELECT a.atttypid UNION ALL SELECT t.typbasetype FROM b JOIN pg_catalog.pg_type t ON t.oid = b.type WHERE t.typtype = 'd')
			SELECT CASE WHEN n.nspname = 'pg_catalog' OR t.typtype <> 'b' OR t.typcategory = 'A' THEN 'pg_catalog'
				ELSE (SELECT pg_catalog.quote_ident(o.nspname) FROM pg_catalog.pg_opclass oc JOIN pg_catalog.pg_am m ON m.oid = oc.opcmethod JOIN pg_catalog.pg_amop x ON x.amopfamily = oc.opcfamily AND x.amoplefttype = t.oid AND x.amoprighttype = t.oid
						AND x.amopstrategy = CASE m.amname WHEN 'btree' THEN 3 ELSE 1 END JOIN pg_catalog.pg_operator p ON p.oid = x.amopopr AND p.oprname = '=' JOIN pg_catalog.pg_namespace o ON o.oid = p.oprnamespace
					WHERE oc.opcintype = t.oid AND oc.opcdefault AND m.amname IN ('btree', 'hash') ORDER BY m.amname LIMIT 1) END
			FROM b JOIN pg_catalog.pg_type t ON t.oid = b.type JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype <> 'd') END)
		ORDER BY a.attnum)
		FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
	'uniques', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('immediate', i.indimmediate, 'columns', (SELECT pg_catalog.json_agg(a.attname ORDER BY k.n)
			FROM pg_catalog.unnest(i.indkey) WITH ORDINALITY k (number, n) JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number WHERE k.n <= i.indnkeyatts)) ORDER BY i.indisprimary DESC, i.indexrelid)
		FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL){rest})::pg_catalog.text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (SELECT pg_catalog.array_agg(r.oid) FROM (SELECT c.oid UNION SELECT p.relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree(c.oid) p) r (oid)) tree (oids)
WHERE c.oid = $1::pg_catalog.int8::pg_catalog.oid`

// liveRest is the rest of that document: what decides whether statements on the table succeed, and what else they do.
var liveRest = `,
	'rules', c.relhasrules, 'rewrites', ` + rulesOf + `,
	'unproven', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', x.relname, 'columns', (SELECT pg_catalog.json_agg(DISTINCT a.attname) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND (
			a.attnum = ANY (i.indkey) OR EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid AND d.objid = i.indexrelid AND d.refobjid = c.oid AND d.refobjsubid = a.attnum)))) ORDER BY x.relname)
		FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid AND i.indisvalid AND (i.indisexclusion
			OR i.indisunique AND (i.indpred IS NOT NULL OR i.indexprs IS NOT NULL OR coalesce((pg_catalog.to_jsonb(i) OPERATOR(pg_catalog.->>) 'indnullsnotdistinct')::pg_catalog.bool, false)))),
	'checks', ` + checksOf + `,
	'keys', {keys, k.conrelid = ANY (tree.oids)}, 'referred', {keys, k.confrelid = ANY (tree.oids)},
	'deferrable', (SELECT pg_catalog.json_agg(DISTINCT pg_catalog.concat(pg_catalog.quote_ident(kn.nspname), '.', pg_catalog.quote_ident(k.conname)))
		FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_namespace kn ON kn.oid = k.connamespace
		WHERE k.condeferrable AND k.contype IN ('f', 'p', 'u', 'x') AND k.conparentid = 0::pg_catalog.oid AND (k.conrelid = ANY (tree.oids) OR k.confrelid = ANY (tree.oids))),
	'triggers', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', g.tgname, 'table', ` + qualifiedTrigger + `, 'type', g.tgtype,
			'function', pg_catalog.concat(pg_catalog.quote_ident(pn.nspname), '.', pg_catalog.quote_ident(p.proname)),
			'columns', (SELECT pg_catalog.json_agg(a.attname) FROM pg_catalog.unnest(g.tgattr) n (number) JOIN pg_catalog.pg_attribute a ON a.attrelid = g.tgrelid AND a.attnum = n.number)) ORDER BY g.tgrelid, g.tgname)
		FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_class gc ON gc.oid = g.tgrelid JOIN pg_catalog.pg_namespace gn ON gn.oid = gc.relnamespace
		JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
		WHERE g.tgrelid = ANY (tree.oids) AND NOT g.tgisinternal AND g.tgparentid = 0::pg_catalog.oid AND g.tgenabled IN ('O', 'A') AND NOT (pn.nspname = $2 AND p.proname OPERATOR(pg_catalog.~~) '` + catalog.FunctionPrefix + `%'))`

// ownType is the condition that a type t is PostgreSQL's own, and made of nothing else.
const ownType = `(t.typtype = 'b' AND t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace::pg_catalog.oid)`

// live returns the table that has an ID now, nil if there is none. The shapes are those that it had, and past is that of describe.
func (s *Reader) live(ctx context.Context, q catalog.Querier, id int64, shapes map[int64]*catalog.Shape, past bool) (*LiveTable, error) {
	had, err := json.Marshal(slices.Collect(maps.Values(shapes)))
	if err != nil {
		return nil, err
	}
	names, err := catalog.ReadAll(ctx, q, func(rows *sql.Rows) (name string, err error) { return name, rows.Scan(&name) },
		`SELECT `+catalog.QualifiedName+` FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND (
			c.oid IN (SELECT g.tgrelid FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
				WHERE pn.nspname = $1 AND p.proname = $2 AND g.tgname OPERATOR(pg_catalog.~~) '`+catalog.RowTrigger+`%' AND g.tgparentid = 0::pg_catalog.oid)
			OR EXISTS (SELECT FROM pg_catalog.json_to_recordset($3::pg_catalog.json) s ("schema" text, "table" text, oid int8) WHERE s.oid = c.oid::pg_catalog.int8 OR s."schema" = n.nspname AND s."table" = c.relname))
		ORDER BY c.oid`, s.Catalog.Schema, (&catalog.Shape{ID: id}).Function(), string(had))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		f, err := s.Catalog.Look(ctx, q, name)
		if err != nil {
			return nil, err
		}
		if f.TableID() == id {
			return s.describe(ctx, q, f, past)
		}
	}
	return nil, nil
}

// describe reads what the catalog has of a table, in a past without what it takes to know whether statements on it succeed.
func (s *Reader) describe(ctx context.Context, q catalog.Querier, f *catalog.Relation, past bool) (*LiveTable, error) {
	query, args := strings.Replace(liveQuery, "{rest}", "", 1), []any{int64(f.OID)}
	if !past {
		query, args = strings.Replace(liveQuery, "{rest}", liveRest, 1), append(args, s.Catalog.Schema)
	}
	for _, side := range []string{"k.conrelid", "k.confrelid"} {
		condition := side + " = ANY (tree.oids)"
		query = strings.Replace(query, "{keys, "+condition+"}", foreignKeysWhere(condition), 1)
	}
	var text string
	if err := q.QueryRowContext(ctx, query, args...).Scan(&text); err != nil {
		return nil, err
	}
	var doc struct {
		LiveTable
		Deferrable []string
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		return nil, err
	}
	t := &doc.LiveTable
	t.Deferrable = doc.Deferrable
	is, err := s.Catalog.Deployed(ctx, q, f)
	if err != nil {
		return nil, err
	}
	t.Partitioned, t.Partitions, t.Locator = f.Kind == "p", f.Partitions, "(tableoid, ctid)"
	t.Capturing = is.Fires(f)
	if f.LastCapture != nil {
		t.Detached = catalog.Without(f.LastCapture.Partitions, f.Partitions)
	}
	t.Now = &catalog.Shape{Schema: f.Schema, Table: f.Table, OID: f.OID, Columns: f.All}
	if f.Place != "" {
		t.Now.Places = []string{f.Place}
	}
	for i, c := range f.All { // in the order of their numbers, as t.Columns
		t.Settings = append(t.Settings, c.Settings...)
		t.Columns[i].Exact = c.Exact
		t.Columns[i].hidden = is.Kept(f, &f.All[i]) != catalog.KeepsValues
	}
	return t, nil
}

// Distinct reports whether no two rows ever have the same values in columns.
func (t *LiveTable) Distinct(columns []string) bool {
	return slices.ContainsFunc(t.Uniques, func(u uniqueKey) bool {
		return u.Immediate && !slices.ContainsFunc(u.Columns, func(c string) bool { return !slices.Contains(columns, c) })
	})
}

// Column is the column of a name, nil if there is none.
func (t *LiveTable) Column(name string) *LiveColumn {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return &t.Columns[i]
		}
	}
	return nil
}

// Only is the table in a statement that must not reach its children by inheritance.
func (t *LiveTable) Only() string {
	if t.Subtables {
		return "ONLY " + t.Name
	}
	return t.Name
}
