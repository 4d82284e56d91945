package roles_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
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
	swap, err := journal.Swap(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]string{
		"journal.Swap": swap, "journal.Schema": tables, "journal.Upgrade": functions, "threadline.Schema": threadline.Schema(hooks.Postgres, nil),
	} {
		found, err := walk.Unqualified(script)
		if err != nil || len(found) > 0 {
			t.Errorf("%s: %v %v", name, found, err)
		}
	}
}

var callForm = regexp.MustCompile(`([.\w"]*)\(`)

// calls returns the functions that are called without a schema.
func calls(s string) (names []string) {
	for _, m := range callForm.FindAllStringSubmatch(s, -1) {
		if name := m[1]; !strings.ContainsAny(name, `."`) {
			names = append(names, strings.ToLower(name))
		}
	}
	return names
}

func TestCalls(t *testing.T) {
	got := strings.Join(calls(`a(b (c(pg_catalog.d("e".f("g"(H(`), " ")
	if got != "a  c h" {
		t.Errorf("%q", got)
	}
}

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
			for _, name := range calls(s) {
				if functions[name] {
					t.Errorf("%s: %s( is not qualified: %.80s", at, name, s)
				}
			}
		})
	}
	if checked < 1000 || len(functions) < 1000 {
		t.Errorf("%d strings and %d functions: is this the source?", checked, len(functions))
	}
}

// eachString calls f with the strings of all files, but for what is SQLite's or MySQL's by
// the name of the file, the function, the constant or the variable.
func eachString(t *testing.T, folder string, f func(at, s string)) {
	t.Helper()
	other := func(name string) bool {
		name = strings.ToLower(name)
		return strings.Contains(name, "sqlite") || strings.Contains(name, "mysql")
	}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || other(path) {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		tags := make(map[*ast.BasicLit]bool) // of struct fields: they are no SQL
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Field:
				tags[n.Tag] = true
			case *ast.FuncDecl:
				return !other(n.Name.Name)
			case *ast.ValueSpec:
				return !other(n.Names[0].Name)
			case *ast.BasicLit:
				if v, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING && !tags[n] {
					f(fset.Position(n.Pos()).String(), v)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
