package capture_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// relationTables are made anew for each case: orders in three schemas, views and
// partitions of what is captured, and functions for triggers.
const relationTables = `
	DROP SCHEMA IF EXISTS public, t1, t2 CASCADE;
	CREATE SCHEMA public;
	CREATE SCHEMA t1;
	CREATE SCHEMA t2;
	CREATE TABLE orders (id bigint PRIMARY KEY, note text);
	CREATE TABLE "Orders" (id bigint PRIMARY KEY);
	CREATE TABLE vips (id bigint PRIMARY KEY);
	CREATE TABLE t1.orders (id bigint PRIMARY KEY, note text);
	CREATE TABLE t2.orders (id bigint PRIMARY KEY, note text);
	CREATE TABLE t2.lines (id bigint PRIMARY KEY);
	CREATE VIEW open_orders AS SELECT * FROM orders WHERE note IS NULL;
	CREATE VIEW my_orders AS SELECT id, note FROM open_orders;
	CREATE VIEW vip_orders AS SELECT * FROM orders WHERE id IN (SELECT id FROM vips);
	CREATE VIEW stats AS SELECT count(*) AS id FROM orders;
	CREATE MATERIALIZED VIEW frozen AS SELECT * FROM orders;
	CREATE TABLE parts (id bigint, year int) PARTITION BY LIST (year);
	CREATE TABLE parts_26 PARTITION OF parts FOR VALUES IN (2026) PARTITION BY RANGE (id);
	CREATE TABLE parts_26a PARTITION OF parts_26 FOR VALUES FROM (0) TO (100);
	CREATE TABLE logs (id bigint PRIMARY KEY, note text);
	CREATE TABLE logs_old () INHERITS (logs);
	CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
	CREATE FUNCTION route() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO logs_old VALUES (new.*); RETURN NULL; END'`

const (
	insert = "INSERT INTO orders (id) VALUES (1)"
	row    = " statements=1 rows=1"
)

// Scripts run line by line on one connection; events follow.
type relationCase struct {
	name   string
	script string
	want   string
}

var temporaryCases = []relationCase{
	{"beside a permanent one", "CREATE TEMP TABLE orders (id bigint)\nINSERT INTO public.orders (id) VALUES (1)\n" + insert, "orders.inserted orders#1" + row},
	{"after DISCARD TEMP", "CREATE TEMP TABLE orders (id bigint)\n" + insert + "\nDISCARD TEMP\n" + insert, "orders.inserted orders#1" + row},
	{"after DISCARD ALL", "CREATE TEMP TABLE orders (id bigint)\n" + insert + "\nDISCARD ALL\n" + insert, "orders.inserted orders#1" + row},
	{"ON COMMIT DROP", "BEGIN\nCREATE TEMP TABLE orders (id bigint) ON COMMIT DROP\n" + insert + "\nCOMMIT\n" + insert, "orders.inserted orders#1" + row},
	{"rolled back", "BEGIN\nCREATE TEMP TABLE orders (id bigint)\n" + insert + "\nROLLBACK\n" + insert, "orders.inserted orders#1" + row},
	{"rolled back to a savepoint", "BEGIN\nSAVEPOINT s\nCREATE TEMP TABLE orders (id bigint)\n" + insert + "\nROLLBACK TO s\n" + insert + "\nCOMMIT", "orders.inserted orders#1" + row},
	{"a view", "CREATE TEMP VIEW orders AS SELECT 1 AS id\nINSERT INTO public.orders (id) VALUES (1)", "orders.inserted orders#1" + row},
	{"a view of a permanent table", "CREATE TEMP VIEW v AS SELECT * FROM orders\nINSERT INTO v (id) VALUES (1)", "orders.inserted orders" + row + " via=pg_temp.v"},
	{"a function", "CREATE FUNCTION pg_temp.orders() RETURNS int LANGUAGE sql AS 'SELECT 1'\n" + insert, "orders.inserted orders#1" + row},
	{"renamed", "CREATE TEMP TABLE scratch (id bigint)\nALTER TABLE scratch RENAME TO notes\nINSERT INTO notes VALUES (1)", ""},
	{"the permanent one is dropped", "CREATE TEMP TABLE vips (id bigint)\nDROP VIEW vip_orders\nDROP TABLE public.vips\nINSERT INTO vips VALUES (1)", "schema.changed schema#vip_orders statements=1\nschema.changed schema#vips statements=1"},
	{"in one string", "CREATE TEMP TABLE orders (id bigint); " + insert + "; INSERT INTO public.orders (id) VALUES (1); DROP TABLE orders\n" + insert[:len(insert)-2] + "2)", "orders.inserted orders#1 statements=1 conditional=true\norders.inserted orders#2" + row},
	{"by its schema", "CREATE TABLE pg_temp.orders (id bigint)\n" + insert + "\nINSERT INTO pg_temp.orders VALUES (2)", ""},
	{"by SELECT INTO", "SELECT 1 AS id INTO TEMP notes;\nINSERT INTO notes VALUES (2)", ""},
	{"truncated with others", "CREATE TEMP TABLE scratch (id bigint)\nTRUNCATE scratch, t2.lines", "t2.lines.truncated t2.lines statements=1"},
	{"dropped with others", "CREATE TEMP TABLE scratch (id bigint)\nDROP TABLE scratch, t2.lines", "schema.changed schema#t2.lines statements=1"},
	{"made beside one", "CREATE TEMP TABLE scratch (id bigint)\nCREATE TABLE public.scratch (id bigint)\nCREATE TEMP VIEW notes AS SELECT 1\nCREATE TABLE IF NOT EXISTS notes (id bigint)", "schema.changed schema#scratch statements=1\nschema.changed schema#notes statements=1 conditional=true"},
	{"an index on one", "CREATE TEMP TABLE scratch (id bigint)\nCREATE INDEX ON scratch (id)", ""},
}

var pathCases = []relationCase{
	{"SET", "SET search_path = t1\n" + insert, "t1.orders.inserted t1.orders#1" + row},
	{"RESET", "SET search_path = t1\nRESET search_path\n" + insert, "orders.inserted orders#1" + row},
	{"SET SCHEMA", "SET SCHEMA 't1'\n" + insert, "t1.orders.inserted t1.orders#1" + row},
	{"after a statement", insert + "\nSET search_path = t1\n" + insert, "orders.inserted orders#1" + row + "\nt1.orders.inserted t1.orders#1" + row},
	{"set_config", insert + "\nSELECT set_config('search_path', 't1', false)\n" + insert, "orders.inserted orders#1" + row + "\nt1.orders.inserted t1.orders#1" + row},
	{"pg_catalog.set_config", insert + "\n SELECT pg_catalog.set_config('search_path', 't1', false)\n" + insert, "orders.inserted orders#1" + row + "\nt1.orders.inserted t1.orders#1" + row},
	{"in a DO", insert + "\nDO 'BEGIN PERFORM set_config(''search_path'', ''t1'', false); END'\n" + insert, "orders.inserted orders#1" + row + "\nt1.orders.inserted t1.orders#1" + row},
	{
		"two tenants in one transaction", "BEGIN\nSET LOCAL search_path = t1\n" + insert + "\nSET LOCAL search_path = t2\n" + insert + "\nCOMMIT\n" + insert,
		"t1.orders.inserted t1.orders#1" + row + "\nt2.orders.inserted t2.orders#1" + row + "\norders.inserted orders#1" + row,
	},
	{
		"rolled back to a savepoint", "BEGIN\nSAVEPOINT s\nSET search_path = t1\n" + insert + "\nROLLBACK TO s\n" + insert + "\nCOMMIT",
		"orders.inserted orders#1" + row,
	},
	{"rolled back", "BEGIN\nSET search_path = t1\n" + insert + "\nROLLBACK\n" + insert, "orders.inserted orders#1" + row},
	{"in one string", insert + "\nSET search_path = t1; " + insert + "\n", "orders.inserted orders#1" + row + "\nt1.orders.inserted t1.orders#1 statements=1 conditional=true"},
	{"before and after, in one string", insert + "; SET search_path = t1; " + insert, "orders.inserted orders#1 statements=1 conditional=true\nt1.orders.inserted t1.orders#1 statements=1 conditional=true"},
	{"with control words", "BEGIN; SET search_path = t1; COMMIT\n" + insert, "t1.orders.inserted t1.orders#1" + row},
	{"only in one schema", "SET search_path = t1, t2\nINSERT INTO lines VALUES (1)", "t2.lines.inserted t2.lines" + row},
	{"a hidden one", "SET search_path = t1, pg_temp\nCREATE TEMP TABLE orders (id bigint)\n" + insert, "t1.orders.inserted t1.orders#1" + row},
	{"a catalog of the app's", "CREATE TABLE t1.pg_class (relname text)\nSET search_path = t1, pg_catalog\n" + insert, "schema.changed schema#t1.pg_class statements=1\nt1.orders.inserted t1.orders#1" + row},
	{
		"DDL", "SET search_path = t1\nCREATE TABLE made (id bigint)\nCREATE INDEX made_id ON made (id)\nALTER TABLE orders ADD more text\nDROP TABLE made, orders",
		"schema.changed schema#t1.made statements=1\nschema.changed schema#t1.made_id statements=1\nschema.changed schema#t1.orders statements=1\n" +
			"schema.changed schema#t1.made statements=1\nschema.changed schema#t1.orders statements=1",
	},
	{"prepared statements that are gone", insert + "\nDEALLOCATE ALL\nBEGIN\nINSERT INTO t1.orders (id) VALUES (1)\nCOMMIT", "orders.inserted orders#1" + row + "\nt1.orders.inserted t1.orders#1" + row},
	{"an aborted transaction", "BEGIN\n!INSERT INTO nowhere VALUES (1)\n!" + insert + "\nROLLBACK\n" + insert, "orders.inserted orders#1" + row},
	{"made in front of another", "SET search_path = t1, t2\nCREATE TABLE lines (id bigint)\nINSERT INTO lines VALUES (1)", "schema.changed schema#t1.lines statements=1\nt1.lines.inserted t1.lines" + row},
	{"a schema called main", "CREATE SCHEMA main\nCREATE TABLE main.orders (id bigint)\nINSERT INTO main.orders VALUES (1)\n+DROP SCHEMA main CASCADE", "schema.changed schema#main statements=1\nschema.changed schema#main.orders statements=1\nmain.orders.inserted main.orders" + row},
	{"capitals", `INSERT INTO ONLYS VALUES (1)` + "\n" + `UPDATE ONLY public."Orders" SET id = 2 WHERE id = 1`, "onlys.inserted onlys" + row},
}

var viewCases = []relationCase{
	{"a view", "INSERT INTO open_orders (id) VALUES (1)\nUPDATE open_orders SET note = 'x' WHERE id = 1", "orders.inserted orders" + row + " via=open_orders\norders.updated orders" + row + " via=open_orders"},
	{"a view of a view", "INSERT INTO my_orders (id) VALUES (1) RETURNING id", "orders.inserted orders" + row + " via=my_orders"},
	{"with the table itself", "BEGIN\n" + insert + "\nINSERT INTO open_orders (id) VALUES (2)\nCOMMIT", "orders.inserted orders#1" + row + "\norders.inserted orders" + row + " via=open_orders"},
	{"a view that reads two tables", "INSERT INTO vip_orders (id) VALUES (1)", "vip_orders.inserted vip_orders" + row},
	{"a partition", "INSERT INTO parts_26a (id, year) VALUES (1, 2026)\nDELETE FROM parts_26 WHERE id = 1\nTRUNCATE parts_26a", "parts.inserted parts" + row + " via=parts_26a\nparts.deleted parts" + row + " via=parts_26\nparts.truncated parts statements=1 via=parts_26a"},
	{"COPY to a partition", "COPY parts_26a FROM PROGRAM 'printf ''1\\t2026\\n'''", "parts.inserted parts" + row + " via=parts_26a"},
	{"DDL of a partition", "ALTER TABLE parts_26a ADD CHECK (id > 0)", "schema.changed schema#parts_26a statements=1"},
	{"an inherited table", "INSERT INTO logs_old (id) VALUES (1)\nUPDATE logs SET note = 'x'\nDELETE FROM ONLY logs", "logs_old.inserted logs_old" + row + "\nlogs.updated logs" + row},
	{"MERGE", "INSERT INTO vips VALUES (1)\nMERGE INTO t1.orders USING vips v ON v.id = orders.id WHEN NOT MATCHED THEN INSERT (id) VALUES (v.id); SELECT 1", "vips.inserted vips" + row + "\nt1.orders.merged t1.orders statements=1 conditional=true"},
	{"a materialized view", "REFRESH MATERIALIZED VIEW frozen", ""},
	{"within another statement", "WITH d AS (DELETE FROM open_orders RETURNING id) SELECT id FROM d", "orders.deleted orders statements=1 conditional=true via=open_orders"},
}

var zeroCases = []relationCase{
	{"nothing matches", "UPDATE orders SET note = 'x'\nUPDATE open_orders SET note = 'x'\nDELETE FROM parts\nUPDATE orders SET note = 'x' RETURNING id", ""},
	{"INSTEAD OF", "+CREATE TRIGGER t INSTEAD OF INSERT ON stats FOR EACH ROW EXECUTE FUNCTION nothing()\nINSERT INTO stats (id) VALUES (1)", "stats.inserted stats statements=1 conditional=true"},
	{"INSTEAD OF, of an updatable view", "+CREATE TRIGGER t INSTEAD OF INSERT ON open_orders FOR EACH ROW EXECUTE FUNCTION nothing()\nINSERT INTO open_orders (id) VALUES (1)\nUPDATE open_orders SET note = 'x'", "open_orders.inserted open_orders statements=1 conditional=true"},
	{"DO INSTEAD", "+CREATE RULE r AS ON INSERT TO stats DO INSTEAD INSERT INTO vips VALUES (new.id)\nINSERT INTO stats (id) VALUES (1)", "stats.inserted stats statements=1"},
	{"DO INSTEAD NOTHING", "+CREATE RULE r AS ON DELETE TO orders DO INSTEAD NOTHING\nDELETE FROM orders\nUPDATE orders SET note = 'x'", "orders.deleted orders statements=1 conditional=true"},
	{"DO ALSO", "+CREATE RULE r AS ON DELETE TO orders DO ALSO DELETE FROM vips\nDELETE FROM orders", ""},
	{"BEFORE", "+CREATE TRIGGER t BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION nothing()\n" + insert + "\nUPDATE orders SET note = 'x'", "orders.inserted orders statements=1 conditional=true"},
	{"BEFORE, RETURNING", "+CREATE TRIGGER t BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION nothing()\n?" + insert + " RETURNING id", "orders.inserted orders statements=1 conditional=true"},
	{"BEFORE, through a view", "+CREATE TRIGGER t BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION nothing()\nINSERT INTO my_orders (id) VALUES (1)", "orders.inserted orders statements=1 conditional=true via=my_orders"},
	{"BEFORE UPDATE, upsert", insert + "\n+CREATE TRIGGER t BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION nothing()\nSET search_path = public\n" + insert + " ON CONFLICT (id) DO UPDATE SET note = 'x'", "orders.inserted orders#1" + row + "\norders.upserted orders#1 statements=1 conditional=true"},
	{"BEFORE, with a row", "+CREATE TRIGGER t BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()\n" + insert + "\nUPDATE orders SET note = 'x'\nUPDATE orders SET note = 'x'", "orders.inserted orders#1" + row + "\norders.updated orders" + row + "\norders.updated orders statements=1 conditional=true"},
	{"BEFORE, disabled", "+CREATE TRIGGER t BEFORE DELETE ON orders FOR EACH ROW EXECUTE FUNCTION nothing(); ALTER TABLE orders DISABLE TRIGGER t\nDELETE FROM orders WHERE id = 9", ""},
	{"BEFORE STATEMENT, and AFTER", "+CREATE TRIGGER t BEFORE DELETE ON orders EXECUTE FUNCTION nothing(); CREATE TRIGGER u AFTER DELETE ON orders FOR EACH ROW EXECUTE FUNCTION nothing()\nDELETE FROM orders WHERE id = 9", ""},
	{"a partition's", "+CREATE TRIGGER t BEFORE INSERT ON parts_26a FOR EACH ROW EXECUTE FUNCTION nothing()\nINSERT INTO parts (id, year) VALUES (1, 2026)\nINSERT INTO parts_26a (id, year) VALUES (2, 2026)", "parts.inserted parts statements=1 conditional=true\nparts.inserted parts statements=1 conditional=true via=parts_26a"},
	{"routed by a trigger", "+CREATE TRIGGER t BEFORE INSERT ON logs FOR EACH ROW EXECUTE FUNCTION route()\nINSERT INTO logs (id) VALUES (1)", "logs.inserted logs statements=1 conditional=true"},
	{"folded with what changed", "+CREATE TRIGGER t BEFORE INSERT ON logs FOR EACH ROW WHEN (new.id > 1) EXECUTE FUNCTION nothing()\nBEGIN\nINSERT INTO logs SELECT 1\nINSERT INTO logs SELECT 2\nCOMMIT", "logs.inserted logs statements=2"},
}

// protocols are the engines of PostgreSQL, pgx also with its other ways to send a
// statement.
func protocols() []dbtest.Engine {
	mode := func(name string) dbtest.Engine {
		return dbtest.PGX.With("pgx "+name, func(tb testing.TB) string {
			tb.Helper()
			return dbtest.Postgres(tb) + " default_query_exec_mode=" + name
		})
	}
	binary := dbtest.PQ.With("pq binary_parameters", func(tb testing.TB) string {
		tb.Helper()
		return dbtest.Postgres(tb) + " binary_parameters=yes"
	})
	return append(dbtest.PostgresEngines(), binary, mode("exec"), mode("simple_protocol"), mode("cache_describe"))
}

// TestRelations: a name is what the database takes it for.
func TestRelations(t *testing.T) {
	for name, cases := range map[string][]relationCase{
		"temporary": temporaryCases, "path": pathCases, "views": viewCases, "zero": zeroCases,
	} {
		t.Run(name, func(t *testing.T) {
			engines := pg
			if name == "path" {
				engines = protocols()
			}
			each(t, "", func(w *world) {
				w.db.SetMaxIdleConns(0)
				for _, c := range cases {
					w.must(w.bare.ExecContext(ctx(), relationTables+"; CREATE TABLE onlys (id bigint)"))
					w.sub(c.name, func(w *world) { w.runRelation(c) })
				}
			}, engines...)
		})
	}
}

func (w *world) runRelation(c relationCase) {
	w.Helper()
	conn := w.conn()
	for query := range strings.SplitSeq(strings.TrimSpace(c.script), "\n") {
		switch query[0] {
		case '+': // by somebody else
			w.must(w.bare.ExecContext(ctx(), query[1:]))
		case '!': // it fails
			if _, err := conn.ExecContext(ctx(), query[1:]); err == nil {
				w.Errorf("%s does not fail", query[1:])
			}
		case '?':
			w.must(drain(conn.QueryContext(ctx(), query[1:])), nil)
		default:
			w.execOn(conn, query)
		}
	}
	if w.e.Dialect == hooks.Postgres {
		w.execOn(conn, "DISCARD TEMP") // before the next case drops what it is about
	}
	w.must(conn.Close())
	var want []string
	if c.want != "" {
		want = strings.Split(c.want, "\n")
	}
	w.want(want...)
}
