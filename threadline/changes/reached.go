package changes

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// reachedQuery follows tables, of which $1 has the names under which they are asked for, $2 the schemas and $3 the names: from a
// view to its table, if it shows one table only, and no rule or INSTEAD OF trigger leads elsewhere; from a partition to the tables that
// it is a part of, which may be captured in its stead; and to the partitions and children of a table.
//
// It gets arrays, because the server knows how many elements they have: of a function that returns rows it would expect many, and
// compile the query (JIT), which takes a hundred times as long.
const reachedQuery = `WITH RECURSIVE kin (name, oid, way) AS (
		SELECT a.name, c.oid, 'here' FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text::pg_catalog.text[]), pg_catalog.unnest($3::pg_catalog.text::pg_catalog.text[])) a (name, schema, relation)
			JOIN pg_catalog.pg_namespace n ON n.nspname = a.schema JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = a.relation WHERE c.relkind IN ('r', 'p', 'v', 'f')
		UNION
		SELECT k.name, step.oid, step.way FROM kin k CROSS JOIN LATERAL (
			SELECT (SELECT CASE WHEN pg_catalog.count(DISTINCT d.refobjid) = 1 AND pg_catalog.count(DISTINCT r.oid) = 1 THEN pg_catalog.min(d.refobjid::pg_catalog.int8)::pg_catalog.oid END
				FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass::pg_catalog.oid AND d.objid = r.oid
					AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid AND d.refobjid <> v.oid
				WHERE r.ev_class = v.oid) AS oid, 'here' AS way
			FROM pg_catalog.pg_class v WHERE k.way = 'here' AND v.oid = k.oid AND v.relkind = 'v' AND pg_catalog.pg_relation_is_updatable(v.oid, false) <> 0
				AND NOT EXISTS (SELECT FROM pg_catalog.pg_rewrite o WHERE o.ev_class = v.oid AND o.rulename <> '_RETURN')
				AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = v.oid AND NOT t.tgisinternal)
			UNION ALL
			SELECT i.inhparent, 'up' FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
			WHERE k.way IN ('here', 'up') AND i.inhrelid = k.oid AND c.relispartition
			UNION ALL
			SELECT i.inhrelid, 'down' FROM pg_catalog.pg_inherits i WHERE k.way IN ('here', 'down') AND i.inhparent = k.oid
		) step WHERE step.oid IS NOT NULL
	)
	SELECT DISTINCT k.name, d.name FROM kin k CROSS JOIN LATERAL (
		SELECT CASE n.nspname WHEN 'public' THEN c.relname::pg_catalog.text ELSE pg_catalog.concat(n.nspname, '.', c.relname) END
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = k.oid AND c.relkind IN ('r', 'p', 'v', 'f') OFFSET 0
	) d (name) WHERE d.name <> k.name ORDER BY 1, 2`

// mostAsked is how many names are asked for at a time: for more, a server may expect so many tables that it compiles the query.
const mostAsked = 20

// Reached returns, for each of the names of tables, partitions and views, the other tables in which a statement on it may change
// rows. A name has its schema and a dot in front, unless that is public. For a view that does not simply show one table, and on SQLite,
// where only triggers write through a view, it returns none. It looks at the tables as they are now.
func (s *Store) Reached(ctx context.Context, names []string) (map[string][]string, error) {
	reached := make(map[string][]string)
	if len(names) == 0 || s.reader().Catalog.Dialect == hooks.SQLite {
		return reached, s.reader().Catalog.Supported()
	}
	if err := s.reader().Catalog.Supported(); err != nil {
		return nil, err
	}
	err := reach(ctx, s.reader().Catalog.DB, reached, names)
	return reached, catalog.Wrap("look for the tables that a name reaches", s.reader().Catalog.Explain(err))
}

// reach adds to reached the tables that names lead to. A name with a dot is one in a schema, or in public one that has a dot itself.
func reach(ctx context.Context, q catalog.Querier, reached map[string][]string, names []string) error {
	for some := range slices.Chunk(names, mostAsked) {
		var asked, schemas, relations []string
		for _, name := range some {
			asked, schemas, relations = append(asked, name), append(schemas, "public"), append(relations, name)
			for i := range name {
				if name[i] == '.' && name[:i] != "public" {
					asked, schemas, relations = append(asked, name), append(schemas, name[:i]), append(relations, name[i+1:])
				}
			}
		}
		_, err := catalog.ReadAll(ctx, q, func(rows *sql.Rows) (_ struct{}, err error) {
			var from, to string
			if err = rows.Scan(&from, &to); err == nil {
				reached[from] = append(reached[from], to)
			}
			return struct{}{}, err
		}, reachedQuery, arrayOf(asked), arrayOf(schemas), arrayOf(relations))
		if err != nil {
			return err
		}
	}
	return nil
}

// arrayOf is the text of an array of texts, as PostgreSQL reads it.
func arrayOf(list []string) string {
	quoted := make([]string, len(list))
	for i, one := range list {
		quoted[i] = `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(one) + `"`
	}
	return "{" + strings.Join(quoted, ",") + "}"
}
