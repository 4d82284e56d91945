package changes_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestOthersOperators: operators that a role has put before PostgreSQL's own in its search_path do not run with the rights of the
// history's owner.
func TestOthersOperators(t *testing.T) {
	oneDriver(t, func(w *world) {
		w.exec("DROP ROLE IF EXISTS changes_path", "CREATE ROLE changes_path", "GRANT CREATE ON SCHEMA public TO changes_path", "CREATE SCHEMA changes_ops AUTHORIZATION changes_path")
		defer w.exec("DROP OWNED BY changes_path CASCADE", "DROP ROLE changes_path")
		w.exec("CREATE TABLE public.stolen (by text)", "GRANT INSERT ON stolen TO PUBLIC")
		hostile := []string{"CREATE FUNCTION changes_ops.steal() RETURNS void LANGUAGE plpgsql AS $$ BEGIN IF current_user OPERATOR(pg_catalog.<>) 'changes_path' THEN INSERT INTO public.stolen VALUES (current_user); END IF; END $$"}
		for _, typ := range []string{"text", "int4", "int8", "bool", "name", "oid", "bytea", "xid8", "pg_lsn", `"char"`, "timestamptz", "int2", "record"} {
			hostile = append(hostile, "CREATE FUNCTION changes_ops.f(a pg_catalog."+typ+", b pg_catalog."+typ+") RETURNS bool LANGUAGE plpgsql AS $$ BEGIN PERFORM changes_ops.steal(); RETURN a OPERATOR(pg_catalog.=) b; END $$")
			for _, op := range []string{"=", "<>", "<", ">", "<=", ">="} {
				hostile = append(hostile, "CREATE OPERATOR changes_ops."+op+" (LEFTARG = pg_catalog."+typ+", RIGHTARG = pg_catalog."+typ+", FUNCTION = changes_ops.f)")
			}
		}
		w.must(w.as("changes_path", hostile...))
		long := "(SELECT pg_catalog.string_agg(pg_catalog.md5(n::text), '') FROM pg_catalog.generate_series(1, 3000) n)"
		tables := []string{"by_row", "whole", "divided"}
		for _, table := range tables {
			divided := ""
			if table == "divided" {
				divided = " PARTITION BY LIST (part)"
			}
			w.must(w.as("changes_path", "CREATE TABLE "+table+" (id int, part text, a numeric, b text, card text, h text, PRIMARY KEY (id, part))"+divided))
		}
		w.must(w.as("changes_path", "CREATE TABLE divided_x PARTITION OF divided FOR VALUES IN ('x')", "CREATE TABLE divided_y PARTITION OF divided FOR VALUES IN ('y')"))
		for _, table := range tables {
			w.capture(capture.Table{Name: table, Mask: []string{"card"}, Hash: []string{"h"}, Bulk: table == "whole"})
		}
		for _, table := range tables {
			w.must(w.as("changes_path", "SET LOCAL search_path = changes_ops, pg_catalog, public", "INSERT INTO "+table+" VALUES (1, 'x', 1, 'b', 'c', 'h'), (2, 'x', 2, "+long+", NULL, NULL)",
				"UPDATE "+table+" SET a = 1.0, part = 'y', h = 'i'", "UPDATE "+table+" SET b = pg_catalog.concat(b, 'x')", "DELETE FROM "+table, "SAVEPOINT s", "ALTER TABLE "+table+" ADD more int",
				"INSERT INTO "+table+" VALUES (1, 'x', 1, 'b', 'c', 'h')", "UPDATE "+table+" SET part = 'y'", "TRUNCATE "+table))
			if by := w.text("SELECT string_agg(DISTINCT by, ' ') FROM stolen"); by != "" {
				w.Errorf("%s: code of this role ran as %s", table, by)
			}
			w.exec("DELETE FROM stolen")
		}
		if gaps := w.text("SELECT string_agg(DISTINCT reason, '; ') FROM threadline.audit_gaps"); gaps != "" {
			w.Errorf("gaps: %s", gaps)
		}
	})
}
