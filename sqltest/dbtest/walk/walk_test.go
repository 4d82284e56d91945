package walk_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest/walk"
)

// TestWalk shows that the walk finds what it is for.
func TestWalk(t *testing.T) {
	for query, want := range map[string]string{
		"SELECT pg_visible_in_snapshot(e.xid, '1:1:') FROM a.b e":        "function pg_visible_in_snapshot",
		"SELECT a.c::text || 'x' FROM b AS a":                            "operator ||, relation b, type text",
		"WITH w AS (SELECT 1) SELECT pg_catalog.max(x) FROM w":           "",
		"SELECT min(seq + 0), count(*) FROM a.b WHERE c = 'x' AND d < 5": "function count, function min",
		"SELECT sum(n) FILTER (WHERE a) OVER (), max(n) FROM a.b":        "function max, function sum",
		"SELECT version()": "function version",
		"SELECT coalesce(a, b), greatest(a, b), least(a, b), nullif(a, b), CAST(a AS pg_catalog.int8), current_user, EXTRACT(epoch FROM a), EXISTS (SELECT) FROM a.b": "",
		"SELECT a FROM a.b WHERE c LIKE 'x'":                                           "operator ~~",
		"SELECT a FROM a.b WHERE c OPERATOR(pg_catalog.~~) 'x' AND d = ANY (ARRAY[1])": "",
		"SELECT CASE a.c WHEN 0 THEN 1 END FROM a.b":                                   "operator = of CASE",
		"UPDATE b SET c = now()":                                                       "function now, relation b",
		"INSERT INTO b VALUES (1)":                                                     "relation b",
		"DELETE FROM b":                                                                "relation b",
		"CREATE TABLE a.b (c text DEFAULT lower('x'))":                                 "function lower",
		"CREATE FUNCTION a.f() RETURNS int LANGUAGE sql AS 'SELECT 1'":                 `function a.f with search_path ""`,
		"CREATE FUNCTION a.f() RETURNS int LANGUAGE sql SET search_path = pg_catalog, pg_temp AS 'SELECT lower(x) FROM b'": "relation b",
		"DO $$ BEGIN PERFORM lower('x'); END $$":                                                                                                              "function lower",
		"SET LOCAL search_path = pg_catalog, pg_temp; DO $$ BEGIN PERFORM lower('x') FROM b; END $$":                                                          "relation b",
		"CREATE FUNCTION a.f() RETURNS int LANGUAGE sql SET search_path = pg_catalog, pg_temp AS 'SELECT 1'; SELECT lower('x')":                               "function lower",
		"SET LOCAL search_path = pg_catalog; SELECT lower('x')":                                                                                               "function lower",
		"CREATE FUNCTION a.f() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$ DECLARE x int; BEGIN x := (SELECT 1 FROM b); END $$": "relation b",
	} {
		got, err := walk.Unqualified(query)
		if err != nil || strings.Join(got, ", ") != want {
			t.Errorf("%s: [%s] %v, want [%s]", query, strings.Join(got, ", "), err, want)
		}
	}
}
