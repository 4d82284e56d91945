package driver

import (
	"context"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// catalogQuery looks a name up in PostgreSQL's catalog: $1 is its schema, empty if
// the statement has none, $2 the name, $3 the key's column. It returns a row for
// the relation and one for each behind it. Its parts:
//
//   - up leads from a view to the tables that it reads, and from a partition to
//     the partitioned table; sure, as long as there is one way only;
//   - down has the partitions and inheriting tables, whose triggers rows pass too;
//   - doubt has the operations, as bits of pg_trigger.tgtype, for which a count of
//     0 proves nothing: a BEFORE ROW trigger may take the row elsewhere, or it is
//     a foreign table, where another server carries them out;
//   - key is the type of the key's column, of a domain the one below it. It is 0 if
//     one value may have several spellings there, by its collation or because it is
//     rounded to hundreds, or if several rows may have it: there is no unique index
//     of that column alone that holds after each statement, or other tables inherit the
//     column without its index. An "=" stands before it if the key is generated from
//     other columns, and a "^" if a DELETE takes other rows of the table along.
//
// Names are returned as their UTF-8, with what is not ASCII escaped: the session's
// client_encoding may lack their characters.
//
// It does not raise an error, which would end the app's transaction: a schema
// without rights is no schema of the path, a relation that is dropped meanwhile
// has no row. Every name and operator is qualified, so that no search_path can
// change it. There is always one row, for the current schema
// and those of the path.
const catalogQuery = `WITH RECURSIVE up(depth, oid, kind, part, sure, above) AS (
  (SELECT 0, c.oid, c.relkind::pg_catalog.text, c.relispartition, true, false
     FROM pg_catalog.unnest(
            CASE WHEN $1::pg_catalog.text OPERATOR(pg_catalog.=) '' THEN pg_catalog.current_schemas(true)
                 WHEN $1::pg_catalog.text OPERATOR(pg_catalog.=) 'pg_temp' THEN
                   ARRAY(SELECT n.nspname FROM pg_catalog.pg_namespace n WHERE n.oid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())
                 ELSE ARRAY[$1::pg_catalog.name] END) WITH ORDINALITY AS s (name, nr)
     JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) s.name
     JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) n.oid AND c.relname OPERATOR(pg_catalog.=) $2::pg_catalog.name
    ORDER BY s.nr
    LIMIT 1)
  UNION
  SELECT up.depth OPERATOR(pg_catalog.+) 1, c.oid, c.relkind::pg_catalog.text, c.relispartition,
         up.sure AND b.alone, up.part
    FROM up
    CROSS JOIN LATERAL (
      SELECT i.inhparent AS oid, true AS alone FROM pg_catalog.pg_inherits i
       WHERE up.part AND i.inhrelid OPERATOR(pg_catalog.=) up.oid
      UNION ALL
      SELECT d.oid, pg_catalog.count(*) OVER () OPERATOR(pg_catalog.=) 1 FROM (
        SELECT DISTINCT d.refobjid AS oid
          FROM pg_catalog.pg_rewrite r
          JOIN pg_catalog.pg_depend d ON d.objid OPERATOR(pg_catalog.=) r.oid
          JOIN pg_catalog.pg_class t ON t.oid OPERATOR(pg_catalog.=) d.refobjid
         WHERE up.kind OPERATOR(pg_catalog.=) 'v'
           AND r.ev_class OPERATOR(pg_catalog.=) up.oid AND r.ev_type OPERATOR(pg_catalog.=) '1'
           AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass
           AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
           AND d.refobjid OPERATOR(pg_catalog.<>) up.oid
           AND t.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,f}'::pg_catalog."char"[])) d
    ) b
    JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) b.oid
   WHERE up.depth OPERATOR(pg_catalog.<) 16
), down(top, oid) AS (
  SELECT up.oid, up.oid FROM up WHERE NOT up.above
  UNION
  SELECT down.top, i.inhrelid FROM down JOIN pg_catalog.pg_inherits i ON i.inhparent OPERATOR(pg_catalog.=) down.oid
), doubt(top, ops) AS (
  SELECT down.top, pg_catalog.bit_or(CASE WHEN c.relkind OPERATOR(pg_catalog.=) 'f' THEN 28
           ELSE (SELECT pg_catalog.bit_or(t.tgtype::pg_catalog.int4) FROM pg_catalog.pg_trigger t
                  WHERE t.tgrelid OPERATOR(pg_catalog.=) c.oid AND NOT t.tgisinternal AND t.tgenabled OPERATOR(pg_catalog.<>) 'D'
                    AND (t.tgtype::pg_catalog.int4 OPERATOR(pg_catalog.&) 3) OPERATOR(pg_catalog.=) 3) END)
    FROM down JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) down.oid
   GROUP BY down.top
)
SELECT pg_catalog.encode(pg_catalog.convert_to(pg_catalog.array_to_string(
         ARRAY[COALESCE(pg_catalog.current_schema(), '')] OPERATOR(pg_catalog.||) pg_catalog.current_schemas(true), E'\x1f'), one.encoding), 'escape'),
       up.sure::pg_catalog.text,
       pg_catalog.encode(pg_catalog.convert_to(n.nspname::pg_catalog.text, one.encoding), 'escape'),
       pg_catalog.encode(pg_catalog.convert_to(c.relname::pg_catalog.text, one.encoding), 'escape'), c.relkind::pg_catalog.text,
       c.relpersistence::pg_catalog.text,
       COALESCE((SELECT pg_catalog.bit_or(t.tgtype::pg_catalog.int4) FROM pg_catalog.pg_trigger t
          WHERE t.tgrelid OPERATOR(pg_catalog.=) up.oid AND t.tgenabled OPERATOR(pg_catalog.<>) 'D'
            AND (t.tgtype::pg_catalog.int4 OPERATOR(pg_catalog.&) 64) OPERATOR(pg_catalog.=) 64), 0)::pg_catalog.text ,
       COALESCE((SELECT pg_catalog.string_agg(r.ev_type::pg_catalog.text, '') FROM pg_catalog.pg_rewrite r
          WHERE r.ev_class OPERATOR(pg_catalog.=) up.oid AND r.is_instead AND r.ev_type OPERATOR(pg_catalog.<>) '1' AND r.ev_enabled OPERATOR(pg_catalog.<>) 'D'), '') AS rules,
       COALESCE(doubt.ops, 0)::pg_catalog.text,
       COALESCE((SELECT CASE WHEN a.alone AND a.exact THEN CASE WHEN a.generated THEN '=' ELSE '' END OPERATOR(pg_catalog.||) CASE WHEN a.cascades THEN '^' ELSE '' END OPERATOR(pg_catalog.||) a.type ELSE '0' END FROM (
         SELECT (WITH RECURSIVE base(type, mod) AS (
                   SELECT a.atttypid, a.atttypmod
                   UNION ALL
                   SELECT t.typbasetype, t.typtypmod FROM base JOIN pg_catalog.pg_type t
                       ON t.oid OPERATOR(pg_catalog.=) base.type AND t.typtype OPERATOR(pg_catalog.=) 'd')
                 SELECT CASE WHEN base.mod OPERATOR(pg_catalog.>) 0 AND base.type OPERATOR(pg_catalog.=) 1700
                              AND ((base.mod OPERATOR(pg_catalog.-) 4) OPERATOR(pg_catalog.&) 1024) OPERATOR(pg_catalog.<>) 0 THEN '0'
                        ELSE base.type::pg_catalog.text END
                   FROM base JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) base.type AND t.typtype OPERATOR(pg_catalog.<>) 'd'),
                NOT EXISTS (SELECT FROM pg_catalog.pg_collation k
                             WHERE k.oid OPERATOR(pg_catalog.=) a.attcollation AND NOT k.collisdeterministic),
                EXISTS (SELECT FROM pg_catalog.pg_index i
                         WHERE i.indrelid OPERATOR(pg_catalog.=) up.oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
                           AND i.indnkeyatts OPERATOR(pg_catalog.=) 1 AND i.indkey[0] OPERATOR(pg_catalog.=) a.attnum)
                AND (up.kind OPERATOR(pg_catalog.=) 'p' OR NOT EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhparent OPERATOR(pg_catalog.=) up.oid)),
                a.attgenerated OPERATOR(pg_catalog.<>) ''::pg_catalog."char",
                EXISTS (SELECT FROM pg_catalog.pg_constraint f
                         WHERE f.conrelid OPERATOR(pg_catalog.=) up.oid AND f.confrelid OPERATOR(pg_catalog.=) up.oid AND f.confdeltype OPERATOR(pg_catalog.=) 'c')
           FROM pg_catalog.pg_attribute a
          WHERE a.attrelid OPERATOR(pg_catalog.=) up.oid AND a.attname OPERATOR(pg_catalog.=) $3::pg_catalog.name AND NOT a.attisdropped
         ) a (type, exact, alone, generated, cascades)), '') AS key
  FROM (SELECT CASE WHEN pg_catalog.getdatabaseencoding()::pg_catalog.text OPERATOR(pg_catalog.=) 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END AS encoding) one
  LEFT JOIN (up JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) up.oid
                JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
                LEFT JOIN doubt ON doubt.top OPERATOR(pg_catalog.=) up.oid) ON true
 ORDER BY up.depth`

func (postgres) ask(ctx context.Context, k *catalog, t lex.Table, _ bool) (*relation, error) {
	r, schema, path, rows := &relation{}, "", "", 0
	err := k.own.read(ctx, catalogQuery, []string{t.Schema, t.Name, k.key}, func(row []string) {
		if len(row) == 10 {
			rows++
			schema, path, _ = strings.Cut(unescaped(row[0]), "\x1f")
			row[2], row[3] = unescaped(row[2]), unescaped(row[3])
			r.add(row[1:])
		}
	})
	if err != nil || rows == 0 {
		return nil, err
	}
	r.schema = schema
	if len(r.steps) == 0 {
		r = k.asWritten(t)
		r.missing, r.schema = true, schema
		if t.Schema == "" {
			r.steps[0].Schema = schema
		}
	}
	k.follow(path, t, r)
	return r, nil
}

// catalogFailed: in a failed transaction the app's statement would only get "current
// transaction is aborted".
func (postgres) catalogFailed(k *catalog, err error) error {
	k.refuses(err)
	if state := hooks.SQLState(err); k.tx.Open() && state != "" && state != inFailedSQLTransaction {
		return err
	}
	return nil
}

func (p postgres) answers(ctx context.Context, k *catalog) bool {
	r, err := p.ask(ctx, k, lex.Table{Schema: "pg_catalog", Name: "pg_class"}, false)
	if hooks.SQLState(err) == featureNotSupported { // the query is: nothing is prepared yet
		k.silence(err)
	}
	if k.refuses(err) || k.access.mute.Load() {
		return false
	}
	k.access.mute.Store(r == nil && err == nil) // a server that answers nothing is not PostgreSQL
	return true
}

// add takes a row of catalogQuery: sure, schema, name, kind, persistence, types of
// INSTEAD OF triggers, events of DO INSTEAD rules, types of BEFORE ROW triggers,
// type of the key's column.
func (r *relation) add(row []string) {
	if row[2] == "" {
		return
	}
	t := lex.Table{Schema: row[1], Name: row[2]}
	if row[0] != "true" {
		r.reads = append(r.reads, t)
		return
	}
	key, generated := strings.CutPrefix(row[8], "=")
	key, cascades := strings.CutPrefix(key, "^")
	s := step{Table: t, view: row[3] == "v", temporary: row[4] == "t", instead: bits(row[5]), doubt: bits(row[7]), key: keyTypeOf(key), cascades: cascades}
	s.rekeys = s.doubt
	if generated {
		s.rekeys |= updates
	}
	for _, event := range row[6] { // as pg_rewrite.ev_type has it
		s.instead |= map[rune]changes{'2': updates, '3': inserts, '4': deletes}[event]
	}
	if row[3] == "p" && s.doubt != 0 {
		s.doubt |= updates // which may move a row by a DELETE and an INSERT
	}
	r.steps = append(r.steps, s)
}

// unescaped undoes encode(…, 'escape').
func unescaped(name string) string {
	if !strings.Contains(name, `\`) {
		return name
	}
	var b strings.Builder
	for name != "" {
		before, after, found := strings.Cut(name, `\`)
		b.WriteString(before)
		if !found {
			break
		}
		if octal, err := strconv.ParseUint(after[:min(3, len(after))], 8, 8); err == nil {
			b.WriteByte(byte(octal))
			name = after[3:]
		} else {
			b.WriteByte('\\')
			name = after[min(1, len(after)):]
		}
	}
	return b.String()
}

func bits(tgtype string) changes {
	n, _ := strconv.Atoi(tgtype)
	return changes(n) & anyChange
}

// tablesQuery lists which of the names in $1, divided by U+001F, tables and views
// have on PostgreSQL.
const tablesQuery = `SELECT pg_catalog.encode(pg_catalog.convert_to(n.nspname::pg_catalog.text, one.encoding), 'escape'),
       pg_catalog.encode(pg_catalog.convert_to(c.relname::pg_catalog.text, one.encoding), 'escape')
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
  CROSS JOIN (SELECT CASE WHEN pg_catalog.getdatabaseencoding()::pg_catalog.text OPERATOR(pg_catalog.=) 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END AS encoding) one
 WHERE pg_catalog.lower(c.relname::pg_catalog.text) OPERATOR(pg_catalog.=) ANY (pg_catalog.string_to_array($1::pg_catalog.text, E'\x1f'))
   AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,f}'::pg_catalog."char"[])`

func (postgres) tables(ctx context.Context, k *catalog, named []tableName) (there []tableName, err error) {
	var names []string
	for _, n := range named {
		names = append(names, n.table)
	}
	err = k.own.read(ctx, tablesQuery, []string{strings.Join(names, "\x1f")}, func(row []string) {
		there = append(there, tableName{folded(unescaped(row[0])), folded(unescaped(row[1]))})
	})
	return there, err
}
