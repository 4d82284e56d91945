package changes

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// reachedQuery follows the names in $1: from a view to its table where it is that of one table only,
// without a rule or an INSTEAD OF trigger that would lead elsewhere; from a partition to those that it
// is a part of, which may be captured in its stead; and to the partitions and children of a table.
const reachedQuery = `WITH RECURSIVE named (oid, name) AS (
		SELECT c.oid, CASE n.nspname WHEN 'public' THEN c.relname::pg_catalog.text ELSE pg_catalog.concat(n.nspname, '.', c.relname) END
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'f')
	), kin (name, oid, way) AS (
		SELECT d.name, d.oid, 'here' FROM named d WHERE d.name IN (SELECT pg_catalog.json_array_elements_text($1::pg_catalog.text::pg_catalog.json))
		UNION
		SELECT k.name, step.oid, step.way FROM kin k CROSS JOIN LATERAL (
			SELECT (SELECT CASE WHEN pg_catalog.count(DISTINCT d.refobjid) = 1 AND pg_catalog.count(DISTINCT r.oid) = 1 THEN pg_catalog.min(d.refobjid::pg_catalog.int8)::pg_catalog.oid END
				FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
					AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> v.oid
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
	SELECT DISTINCT k.name, d.name FROM kin k JOIN named d ON d.oid = k.oid WHERE d.name <> k.name ORDER BY 1, 2`

// Reached returns, for names of tables, partitions and views, in which other tables a statement on one may
// change rows: names have the schema and a dot before them, except for public. For a view that does not
// simply show one table there are none. It goes by the tables that there are now. On SQLite it returns
// none, since only triggers write through a view.
func (s *Store) Reached(ctx context.Context, names []string) (map[string][]string, error) {
	reached := make(map[string][]string)
	if len(names) == 0 || s.speaks == hooks.SQLite {
		return reached, s.readable()
	}
	list, err := json.Marshal(names)
	if err == nil {
		err = s.known()
	}
	if err != nil {
		return nil, err
	}
	_, err = readAll(ctx, s.db, func(rows *sql.Rows) (_ struct{}, err error) {
		var from, to string
		if err = rows.Scan(&from, &to); err == nil {
			reached[from] = append(reached[from], to)
		}
		return struct{}{}, err
	}, reachedQuery, string(list))
	return reached, wrap("look for the tables that a name reaches", err)
}
