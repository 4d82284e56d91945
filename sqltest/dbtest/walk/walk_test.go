package walk_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest/walk"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

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
		"SELECT a FROM a.b WHERE c LIKE 'x'":                                                    "operator ~~",
		"SELECT a FROM a.b WHERE c OPERATOR(pg_catalog.~~) 'x' AND d = ANY (ARRAY[1])":          "",
		"SELECT CASE a.c WHEN 0 THEN 1 END FROM a.b":                                            "operator = of CASE",
		"UPDATE b SET c = now()":                                                                "function now, relation b",
		"INSERT INTO b VALUES (1)":                                                              "relation b",
		"DELETE FROM b":                                                                         "relation b",
		"CREATE TABLE a.b (c text DEFAULT lower('x'))":                                          "function lower",
		"CREATE FUNCTION a.f() RETURNS int LANGUAGE sql AS 'SELECT 1'":                          "",
		"CREATE FUNCTION a.f() RETURNS int LANGUAGE sql SET search_path = public AS 'SELECT 1'": `function a.f with search_path "public"`,
		"CREATE FUNCTION a.f() RETURNS int LANGUAGE sql SET search_path = pg_catalog, pg_temp AS 'SELECT lower(x) FROM b'": "relation b",
		"DO $$ BEGIN PERFORM lower('x'); END $$":                                                                                                              "function lower",
		"SET LOCAL search_path = pg_catalog, pg_temp; DO $$ BEGIN PERFORM lower('x') FROM b; END $$":                                                          "relation b",
		"CREATE FUNCTION a.f() RETURNS int LANGUAGE sql SET search_path = pg_catalog, pg_temp AS 'SELECT 1'; SELECT lower('x')":                               "function lower",
		"SET LOCAL search_path = pg_catalog; SELECT lower('x')":                                                                                               "function lower",
		"CREATE FUNCTION a.f() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$ DECLARE x int; BEGIN x := (SELECT 1 FROM b); END $$": "relation b",
	} {
		wantUnqualified(t, query, want)
	}
}

// lookups are constructs, and what the walk finds of each in a function that runs with its caller's search_path.
var lookups = map[string]string{
	"SELECT a = b FROM x.t":                                                                 "operator =",
	"SELECT ROW(a, b) < ROW(b, a) FROM x.t":                                                 "operator <",
	"SELECT (a, b) = (SELECT c, d FROM x.u LIMIT 1) FROM x.t":                               "operator =",
	"SELECT nullif(a, b) FROM x.t":                                                          "operator = of nullif",
	"SELECT a IN (b, 5) FROM x.t":                                                           "operator = of IN",
	"SELECT a NOT IN (b, 5) FROM x.t":                                                       "operator <> of IN",
	"SELECT a IN (SELECT c FROM x.u) FROM x.t":                                              "operator = of IN",
	"SELECT a NOT IN (SELECT c FROM x.u) FROM x.t":                                          "operator = of IN",
	"SELECT a = ANY (ARRAY[b]) FROM x.t":                                                    "operator =",
	"SELECT a <> ALL (ARRAY[b]) FROM x.t":                                                   "operator <>",
	"SELECT a = ANY (SELECT c FROM x.u) FROM x.t":                                           "operator =",
	"SELECT a <> ALL (SELECT c FROM x.u) FROM x.t":                                          "operator <>",
	"SELECT a IS DISTINCT FROM b FROM x.t":                                                  "operator = of IS DISTINCT FROM",
	"SELECT a IS NOT DISTINCT FROM b FROM x.t":                                              "operator = of IS NOT DISTINCT FROM",
	"SELECT a BETWEEN 1 AND b FROM x.t":                                                     "operator BETWEEN",
	"SELECT a NOT BETWEEN 1 AND b FROM x.t":                                                 "operator NOT BETWEEN",
	"SELECT a BETWEEN SYMMETRIC 1 AND b FROM x.t":                                           "operator BETWEEN SYMMETRIC",
	"SELECT a NOT BETWEEN SYMMETRIC 1 AND b FROM x.t":                                       "operator NOT BETWEEN SYMMETRIC",
	"SELECT CASE a WHEN b THEN 1 END FROM x.t":                                              "operator = of CASE",
	"SELECT CASE s WHEN 'x' THEN 1 END FROM x.t":                                            "operator = of CASE",
	"SELECT s LIKE 'x' FROM x.t":                                                            "operator ~~",
	"SELECT s NOT LIKE 'x' FROM x.t":                                                        "operator !~~",
	"SELECT s ILIKE 'x' FROM x.t":                                                           "operator ~~*",
	"SELECT s SIMILAR TO 'x' FROM x.t":                                                      "operator ~",
	"SELECT a FROM x.t ORDER BY a USING <":                                                  "operator < of ORDER BY USING",
	"SELECT d FROM x.t JOIN x.u USING (a)":                                                  "operator = of USING",
	"SELECT d FROM x.t NATURAL JOIN x.u":                                                    "operator = of NATURAL JOIN",
	"DO $$ DECLARE a int := 1; b int := 1; BEGIN CASE a WHEN b THEN NULL; END CASE; END $$": "operator = of IN",

	"SELECT a OPERATOR(pg_catalog.=) ANY (ARRAY[b]), a OPERATOR(pg_catalog.=) ANY (SELECT c FROM x.u), ROW(a, b) OPERATOR(pg_catalog.<) ROW(b, a), EXISTS (SELECT 1) FROM x.t": "",
	"SELECT greatest(a, b), least(a, b), coalesce(a, b), CASE WHEN a OPERATOR(pg_catalog.=) b THEN 1 END FROM x.t":                                                             "",
	"SELECT pg_catalog.min(a), pg_catalog.max(s), pg_catalog.count(DISTINCT b), pg_catalog.array_agg(a ORDER BY s) FROM x.t GROUP BY b ORDER BY b DESC":                        "",
	"SELECT DISTINCT ON (b) pg_catalog.count(*) OVER (PARTITION BY b ORDER BY a) FROM x.t ORDER BY b, a USING OPERATOR(pg_catalog.<)":                                          "",
	"SELECT a FROM x.t UNION SELECT a FROM x.u INTERSECT SELECT 1 EXCEPT SELECT 2":                                                                                             "",
}

// TestLookups runs each of them where the session has a schema before pg_catalog in its search_path, with another role's operators
// for these types: the walk finds those, and only those, that look there.
func TestLookups(t *testing.T) {
	db := dbtest.Open(t, "postgres", dbtest.Postgres(t))
	db.SetMaxOpenConns(1)
	exec := func(query string) error {
		_, err := db.ExecContext(t.Context(), query)
		return err
	}
	if err := exec(`
CREATE SCHEMA x;
CREATE TABLE x.t (a int, b int, s text);
CREATE TABLE x.u (a int, c int, d int);
INSERT INTO x.t VALUES (1, 2, 'x'), (2, 2, 'y'), (3, 1, 'x');
INSERT INTO x.u VALUES (1, 2, 3), (2, 3, 4);
CREATE TABLE x.ran ();
DO $make$
DECLARE typ text; op text;
BEGIN
	FOREACH typ IN ARRAY '{int4,text}'::text[] LOOP
		EXECUTE format('CREATE FUNCTION x.f(a %1$s, b %1$s) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN INSERT INTO x.ran DEFAULT VALUES; RETURN a OPERATOR(pg_catalog.=) b; END $$', typ);
		FOREACH op IN ARRAY '{=,<>,<,>,<=,>=,~~,!~~,~~*,~}'::text[] LOOP
			EXECUTE format('CREATE OPERATOR x.%1$s (LEFTARG = %2$s, RIGHTARG = %2$s, FUNCTION = x.f)', op, typ);
		END LOOP;
	END LOOP;
END $make$;
SET search_path = x, pg_catalog`); err != nil {
		t.Fatal(err)
	}
	for query, want := range lookups {
		// Where the operator is to have a family, as in a comparison of rows, the server refuses the one that it found.
		looked := false
		if err := exec(query); err != nil {
			if !strings.Contains(err.Error(), "operator") {
				t.Fatalf("%s: %v", query, err)
			}
			looked = true
		}
		var n int
		if err := db.QueryRowContext(t.Context(), "SELECT pg_catalog.count(*) FROM x.ran").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if looked = looked || n > 0; looked != (want != "") {
			t.Errorf("%s: looks in the search_path: %v, and the walk finds %q", query, looked, want)
		}
		if err := exec("TRUNCATE x.ran"); err != nil {
			t.Fatal(err)
		}
		if body, is := strings.CutPrefix(query, "DO $$"); is {
			wantUnqualified(t, "CREATE FUNCTION a.f() RETURNS void LANGUAGE plpgsql AS $$"+strings.ReplaceAll(body, " int", " pg_catalog.int4"), want)
			continue
		}
		wantUnqualified(t, "CREATE FUNCTION a.f() RETURNS SETOF int LANGUAGE sql AS $$"+query+"$$", want)
		wantUnqualified(t, "CREATE FUNCTION a.f() RETURNS SETOF int LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY "+query+"; END $$", want)
		wantUnqualified(t, "CREATE FUNCTION a.f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE '"+strings.ReplaceAll(query, "'", "''")+"'; END $$", want)
		wantUnqualified(t, "CREATE FUNCTION a.f() RETURNS SETOF int LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$"+query+"$$", "")
	}
}

// TestNamesOfCallersPath: where the search_path is the caller's, other names are also found that a fixed one lets pass.
func TestNamesOfCallersPath(t *testing.T) {
	for body, want := range map[string]string{
		"BEGIN PERFORM -a.b FROM pg_class; END":                                                   "operator -, relation pg_class",
		"DECLARE b text; BEGIN IF a > 1 THEN b := lower(c)::name; END IF; END":                    "function lower, operator >, type name, type text",
		"DECLARE a text; b boolean; c pg_catalog.text; d bigint; e a.b.c%TYPE; BEGIN END":         "type text",
		"DECLARE a record; BEGIN FOR a IN SELECT 1 FROM a.b LOOP NULL; END LOOP; RETURN NEW; END": "",
	} {
		wantUnqualified(t, "CREATE FUNCTION a.f() RETURNS trigger LANGUAGE plpgsql AS $$ "+body+" $$", want)
	}
}

func wantUnqualified(t *testing.T, query, want string) {
	t.Helper()
	got, err := walk.Unqualified(query)
	if err != nil || strings.Join(got, ", ") != want {
		t.Errorf("%s: [%s] %v, want [%s]", query, strings.Join(got, ", "), err, want)
	}
}
