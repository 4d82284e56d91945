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
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest/walk"
	"github.com/go-aftercommit/aftercommit/threadline"
)

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
		found, err := walk.Unqualified(script)
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
				if functions[m[1]] && !slices.Contains(walk.Exempt, m[1]) {
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
