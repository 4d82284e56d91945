package cli

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// speaking are the packages whose errors and texts reach a terminal.
var speaking = []string{
	"forward/journal", "forward/relay", "threadline", "threadline/trail", "threadline/search", "threadline/export", "threadline/export/parquet",
	"threadline/coverage", "threadline/health", "threadline/changes", "threadline/changes/change", "threadline/changes/undo",
	"threadline/changes/capture", "threadline/changes/internal/catalog", "threadline/changes/internal/reading", "threadline/changes/internal/rowtext",
	"threadline/internal/paging", "threadline/internal/alias", "internal/pgschema",
}

// others are files of these packages that speak to programs that write or deliver, and what no command does.
var others = map[string]string{
	"forward/relay/config.go":            "the options of a relay",
	"forward/relay/relay.go":             "the start of a relay",
	"forward/relay/deliver.go":           "a delivery",
	"forward/relay/worker.go":            "a delivery",
	"forward/relay/replay.go":            "a selection, which the command checks first",
	"forward/relay/purge_changes.go":     "a purge",
	"threadline/copy.go":                 "a delivery",
	"threadline/forwarder.go":            "a delivery",
	"threadline/held.go":                 "a delivery",
	"threadline/record.go":               "a delivery",
	"threadline/store.go":                "options that have no flag",
	"threadline/changes/copy.go":         "a delivery",
	"threadline/changes/copy_read.go":    "a delivery",
	"threadline/changes/copy_write.go":   "a delivery",
	"threadline/changes/purge.go":        "a purge",
	"threadline/changes/source.go":       "a delivery",
	"threadline/changes/capture/keep.go": "what a Hub keeps",
}

// identifier matches what a text says in Go: capture.Of, Store.Migrate, relay.Store.Retire.
var identifier = regexp.MustCompile(`\b[A-Za-z]\w*\.[A-Z][A-Za-z]+\b|\bcall [A-Z]`)

// sources calls f with each file of a package.
func sources(t *testing.T, dir string, f func(path string, file *ast.File)) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("../../../../..", dir, "*.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %v, %v", dir, paths, err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		f(dir+"/"+filepath.Base(path), file)
	}
}

// TestNoGoInTexts: no text of the packages reaches a terminal with the name of something in Go.
func TestNoGoInTexts(t *testing.T) {
	for _, dir := range speaking {
		sources(t, dir, func(path string, file *ast.File) {
			if _, is := others[path]; is {
				return
			}
			ast.Inspect(file, func(n ast.Node) bool {
				lit, ok := n.(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING {
					return true
				}
				text, err := strconv.Unquote(lit.Value)
				if err != nil || !strings.Contains(text, " ") || strings.Contains(text, "pg_catalog") {
					return true
				}
				if name := identifier.FindString(said(text)); name != "" {
					t.Errorf("%s: %q is in %q: say it in phrases, or the file in others", path, name, said(text))
				}
				return true
			})
		})
	}
}

// TestAdvice: each error that these packages export has its exit code, and says nothing in Go, also inside another error.
func TestAdvice(t *testing.T) {
	exported := 0
	known := make(map[string]int)
	for _, a := range advices {
		known[a.of.Error()]++
		for _, err := range []error{a.of, fmt.Errorf("relay: look for x: %w: Store.States lists the names", a.of)} {
			f := advised(err)
			if f.code != a.code || identifier.MatchString(f.Error()) {
				t.Errorf("%v: %d, %s", err, f.code, f)
			}
		}
	}
	for _, dir := range speaking {
		if strings.Contains(dir, "internal/") {
			continue
		}
		sources(t, dir, func(path string, file *ast.File) {
			for _, name := range newErrors(file) {
				exported++
				if known[name] == 0 && !notAdvised[name] {
					t.Errorf("%s exports the error %q: give it advice", path, name)
				}
			}
		})
	}
	if exported < 10 {
		t.Errorf("found only %d exported errors", exported)
	}
	if f := advised(errors.New("x")); f.code != exitUnreachable || f.Error() != "x" {
		t.Errorf("%d, %s", f.code, f)
	}
}

// notAdvised are errors that no command ends with.
var notAdvised = map[string]bool{}

// newErrors returns the texts of the errors that a file exports.
func newErrors(file *ast.File) (texts []string) {
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Err") {
			return true
		}
		call, ok := spec.Values[0].(*ast.CallExpr)
		if !ok {
			return true
		}
		if lit, ok := call.Args[0].(*ast.BasicLit); ok && len(call.Args) == 1 {
			if text, err := strconv.Unquote(lit.Value); err == nil {
				texts = append(texts, text)
			}
		}
		return true
	})
	return texts
}
