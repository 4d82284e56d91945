package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// QualifiedName is that of the table c in the schema n, in quotes, as Relation.Qualified has it. What a
// regclass is written as depends on the session's search_path.
const QualifiedName = `pg_catalog.concat('"', pg_catalog.replace(n.nspname, '"', '""'), '"."', pg_catalog.replace(c.relname, '"', '""'), '"')`

// tableQuery describes a table as one JSON document, null if there is none. leaves are the types
// that values of a column are made of.
const tableQuery = `WITH RECURSIVE made (number, type) AS (
	SELECT a.attnum, a.atttypid FROM pg_catalog.pg_attribute a WHERE a.attrelid = {table} AND a.attnum > 0 AND NOT a.attisdropped
	UNION
	SELECT m.number, x.type FROM made m JOIN pg_catalog.pg_type t ON t.oid = m.type CROSS JOIN LATERAL (
		SELECT t.typelem WHERE t.typelem <> 0::pg_catalog.oid AND t.typcategory = 'A'
		UNION ALL SELECT t.typbasetype WHERE t.typtype = 'd'
		UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid
		UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
	) x (type)
), heirs (oid) AS (
	SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = {table} AND NOT c.relispartition
	UNION SELECT i.inhrelid FROM heirs h JOIN pg_catalog.pg_inherits i ON i.inhparent = h.oid
)
SELECT pg_catalog.json_build_object('schema', n.nspname, 'table', c.relname, 'oid', c.oid::pg_catalog.int8, 'kind', c.relkind, 'persistence', c.relpersistence, 'leaf', c.relispartition,
	'partitions', (SELECT pg_catalog.json_agg(` + QualifiedName + ` ORDER BY p.relid) FROM pg_catalog.pg_partition_tree({table}) p JOIN pg_catalog.pg_class c ON c.oid = p.relid::pg_catalog.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE p.level > 0),
	'partitioned', (SELECT pg_catalog.json_agg(` + QualifiedName + ` ORDER BY p.relid) FROM pg_catalog.pg_partition_tree({table}) p JOIN pg_catalog.pg_class c ON c.oid = p.relid::pg_catalog.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE p.level > 0 AND NOT p.isleaf),
	'foreign', (SELECT pg_catalog.json_agg(` + QualifiedName + ` ORDER BY p.relid) FROM pg_catalog.pg_partition_tree({table}) p JOIN pg_catalog.pg_class c ON c.oid = p.relid::pg_catalog.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE p.level > 0 AND c.relkind = 'f'),
	'heirs', (SELECT pg_catalog.json_agg(` + QualifiedName + ` ORDER BY h.oid) FROM heirs h JOIN pg_catalog.pg_class c ON c.oid = h.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_trigger g WHERE g.tgrelid = c.oid AND g.tgname OPERATOR(pg_catalog.~~) '` + RowTrigger + `%')),
	'key', (SELECT pg_catalog.json_agg(a.attname ORDER BY k.n) FROM pg_catalog.pg_index i, pg_catalog.unnest(i.indkey) WITH ORDINALITY k (number, n), pg_catalog.pg_attribute a
		WHERE i.indrelid = c.oid AND i.indisprimary AND k.n <= i.indnkeyatts AND a.attrelid = c.oid AND a.attnum = k.number),
	'deferrable', (SELECT NOT i.indimmediate FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary),
	'columns', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', a.attname, 'number', a.attnum, 'type', pg_catalog.format_type(a.atttypid, a.atttypmod), 'typeoid', a.atttypid::pg_catalog.int8,
		'long', a.attlen < 0 AND NOT (a.atttypid = 'pg_catalog.numeric'::pg_catalog.regtype::pg_catalog.oid AND a.atttypmod >= 0 OR a.atttypid = 'pg_catalog.inet'::pg_catalog.regtype::pg_catalog.oid OR a.atttypid = 'pg_catalog.cidr'::pg_catalog.regtype::pg_catalog.oid
			OR a.atttypid IN ('pg_catalog.varchar'::pg_catalog.regtype::pg_catalog.oid, 'pg_catalog.bpchar'::pg_catalog.regtype::pg_catalog.oid) AND a.atttypmod >= 0 AND a.atttypmod <= 450), 'notnull', a.attnotnull,
		'from', (SELECT pg_catalog.json_agg(g.attname ORDER BY g.attnum) FROM pg_catalog.pg_attribute g WHERE a.attgenerated <> '' AND g.attrelid = c.oid AND g.attnum > 0 AND g.attnum <> a.attnum AND EXISTS (SELECT FROM pg_catalog.pg_depend d
			WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid AND d.refobjid = c.oid AND d.refobjsubid = g.attnum AND (
				d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass::pg_catalog.oid AND d.objid = (SELECT e.oid FROM pg_catalog.pg_attrdef e WHERE e.adrelid = c.oid AND e.adnum = a.attnum)
				OR d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid AND d.objid = c.oid AND d.objsubid = a.attnum))), -- up to PostgreSQL 14 the latter
		'plain', (SELECT CASE WHEN t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace::pg_catalog.oid AND t.typtype = 'b' AND coalesce(l.collisdeterministic, true) THEN t.typname ELSE '' END
			FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation WHERE t.oid = a.atttypid),
		'leaves', (SELECT pg_catalog.json_agg(DISTINCT CASE WHEN t.typnamespace <> 'pg_catalog'::pg_catalog.regnamespace::pg_catalog.oid THEN '?' ELSE t.typname END)
			FROM made m JOIN pg_catalog.pg_type t ON t.oid = m.type WHERE m.number = a.attnum AND (t.typtype = 'b' AND NOT (t.typelem <> 0::pg_catalog.oid AND t.typcategory = 'A') OR t.typtype NOT IN ('b', 'c', 'd', 'e', 'r', 'm')))
		) ORDER BY a.attnum) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))::pg_catalog.text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = {table}`

// Look looks a table up, and finds out which one it is.
func (s *Database) Look(ctx context.Context, q pgschema.Querier, name string) (*Relation, error) {
	f, err := describe(ctx, q, name)
	if err != nil {
		return nil, err
	}
	return f, Wrap("look up the table "+name, s.identify(ctx, q, f))
}

// Qualify returns the qualified name of the table that a name means with the session's search_path.
func (s *Database) Qualify(ctx context.Context, q pgschema.Querier, name string) (qualified string, err error) {
	err = q.QueryRowContext(ctx, "SELECT "+QualifiedName+" FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = pg_catalog.to_regclass("+pgtext.Literal(name)+")::pg_catalog.oid").Scan(&qualified)
	return qualified, lookError(ctx, q, name, err)
}

// lookError says why a table was not found.
func lookError(ctx context.Context, q pgschema.Querier, name string, err error) error {
	switch {
	case err == nil:
		return nil
	case strings.TrimSpace(name) == "":
		return errors.New("changes: a table has no name")
	case errors.Is(err, sql.ErrNoRows):
		return missing(ctx, q, name)
	case hooks.SQLState(err) == "42602":
		return fmt.Errorf("changes: table %s: %w: quote a name with spaces or other signs: \"order lines\"", name, err)
	}
	return Wrap("look up the table "+name, err)
}

func describe(ctx context.Context, q pgschema.Querier, name string) (*Relation, error) {
	var text string
	at := "pg_catalog.to_regclass(" + pgtext.Literal(name) + ")::pg_catalog.oid"
	err := q.QueryRowContext(ctx, strings.ReplaceAll(tableQuery, "{table}", at)).Scan(&text)
	if err != nil {
		return nil, lookError(ctx, q, name, err)
	}
	var doc struct {
		Shape
		Columns []struct {
			Name, Type, Plain string
			Number            int
			TypeOID           uint32
			Long, NotNull     bool
			Leaves, From      []string
		} `json:"columns"`
		Kind, Persistence string
		Leaf, Deferrable  bool
		Partitions        []string
		Partitioned       []string
		Foreign, Heirs    []string
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		return nil, Wrap("look up the table "+name, err)
	}
	f := &Relation{Shape: doc.Shape, Kind: doc.Kind, Persistence: doc.Persistence, Leaf: doc.Leaf, Deferrable: doc.Deferrable, Partitions: doc.Partitions, Partitioned: doc.Partitioned, Foreign: doc.Foreign, Heirs: doc.Heirs}
	f.Columns = nil
	for _, c := range doc.Columns {
		f.All = append(f.All, Column{
			Name: c.Name, Type: c.Type, Number: c.Number, TypeOID: c.TypeOID, Long: c.Long, NotNull: c.NotNull,
			Exact: exactTypes[c.Plain], Settings: settingsOf(c.Leaves), From: c.From,
		})
	}
	return f, nil
}

// exactTypes are those whose operator = compares bytes: of others, equal values may differ, such
// as 1.0 and 1.00.
var exactTypes = map[string]bool{
	"bool": true, "int2": true, "int4": true, "int8": true, "oid": true, "uuid": true, "date": true,
	"timestamp": true, "timestamptz": true, "time": true, "text": true, "varchar": true, "bytea": true,
}

// Settings are those that the texts of types depend on, each with its value.
var Settings = map[string]string{
	"TimeZone": "'UTC'", "DateStyle": "'ISO, YMD'", "IntervalStyle": "'postgres'", "extra_float_digits": "1",
	"bytea_output": "'hex'", "lc_monetary": "'C'", "search_path": "pg_catalog, pg_temp",
}

// settingsOf returns which settings the text of values that are made of these types depends on.
func settingsOf(leaves []string) (names []string) {
	for _, leaf := range leaves {
		switch leaf {
		case "timestamptz", "timetz":
			names = append(names, "TimeZone", "DateStyle")
		case "timestamp", "date":
			names = append(names, "DateStyle")
		case "interval":
			names = append(names, "IntervalStyle")
		case "float4", "float8", "point", "line", "lseg", "box", "path", "polygon", "circle":
			names = append(names, "extra_float_digits")
		case "bytea":
			names = append(names, "bytea_output")
		case "money":
			names = append(names, "lc_monetary")
		case "?": // an extension's
			for name := range Settings {
				names = append(names, name)
			}
		default:
			if strings.HasPrefix(leaf, "reg") {
				names = append(names, "search_path")
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
