package roles_test

import (
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// TestWalk shows that the walk finds what it is for.
func TestWalk(t *testing.T) {
	for query, want := range map[string]string{
		"SELECT pg_visible_in_snapshot(e.xid, '1:1:') FROM a.b e":        "function pg_visible_in_snapshot",
		"SELECT a.c::text || 'x' FROM b AS a":                            "operator ||, relation b, type text",
		"WITH w AS (SELECT 1) SELECT pg_catalog.max(x) FROM w":           "",
		"SELECT min(seq + 0), count(*) FROM a.b WHERE c = 'x' AND d < 5": "",
		"SELECT min('x')":                    "function min",
		"SELECT a FROM a.b WHERE c LIKE 'x'": "operator ~~",
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
		got, err := unqualified(query)
		if err != nil || strings.Join(got, ", ") != want {
			t.Errorf("%s: [%s] %v, want [%s]", query, strings.Join(got, ", "), err, want)
		}
	}
}

// TestScripts: what makes our tables and functions.
func TestScripts(t *testing.T) {
	tables, err := journal.Schema(hooks.Postgres, nil)
	if err != nil {
		t.Fatal(err)
	}
	functions, err := journal.Upgrade(hooks.Postgres, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]string{
		"journal.Schema": tables, "journal.Upgrade": functions, "threadline.Schema": threadline.Schema(hooks.Postgres, nil),
	} {
		found, err := unqualified(script)
		if err != nil || len(found) > 0 {
			t.Errorf("%s: %v %v", name, found, err)
		}
	}
}

// callForm is a call of a function of PostgreSQL's without a schema.
var callForm = regexp.MustCompile(`(?:^|[^\w."])([a-z_0-9]+)\(`)

// TestSource looks for unqualified calls of PostgreSQL's functions in all strings
// of our Go code, also in statements that no test runs.
func TestSource(t *testing.T) {
	db := dbtest.Open(t, "postgres", dbtest.Postgres(t))
	rows, err := db.QueryContext(ctx, "SELECT DISTINCT proname FROM pg_catalog.pg_proc")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	functions := map[string]bool{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		functions[name] = true
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, folder := range []string{"driver", "forward", "threadline", "hooks", "internal"} {
		eachString(t, filepath.Join("../../..", folder), func(at, s string) {
			checked++
			for _, m := range callForm.FindAllStringSubmatch(s, -1) {
				if functions[m[1]] && !slices.Contains(exempt, m[1]) {
					t.Errorf("%s: %s( is not qualified: %.80s", at, m[1], s)
				}
			}
		})
	}
	if checked < 1000 || len(functions) < 1000 {
		t.Errorf("%d strings and %d functions: is this the source?", checked, len(functions))
	}
}

func eachString(t *testing.T, folder string, f func(at, s string)) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") ||
			strings.Contains(path, "sqlite") || strings.Contains(path, "mysql") {
			return err
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		file := fset.AddFile(path, -1, len(src))
		var s scanner.Scanner
		s.Init(file, src, nil, 0)
		for {
			pos, tok, lit := s.Scan()
			if tok == token.EOF {
				return nil
			}
			if tok == token.STRING {
				if v, err := strconv.Unquote(lit); err == nil {
					f(fset.Position(pos).String(), v)
				}
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}
