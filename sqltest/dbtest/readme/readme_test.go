// Package readme_test keeps the documents true: their Go code is code of these tests
// or of the example, and their SQL is run here.
package readme_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// root is the repository's, seen from here.
const root = "../../.."

var fence = regexp.MustCompile("(?ms)^ *```([a-z]+)\n(.*?)^ *```$")

// documents are those of which the code is looked at.
var documents = []string{"README.md", "driver/LIBRARIES.md", "forward/OPERATING.md", "threadline/changes/README.md", "threadline/changes/SQLITE.md", "threadline/export/README.md"}

// read returns the text of a document.
func read(t *testing.T, document string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, document))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// blocks returns the documents' blocks of code in a language.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	var found []string
	for _, document := range documents {
		for _, m := range fence.FindAllStringSubmatch(read(t, document), -1) {
			if m[1] == language {
				found = append(found, m[2])
			}
		}
	}
	if len(found) == 0 {
		t.Fatalf("the documents have no block of %s", language)
	}
	return found
}

// plain is code without its indentation and the file's name at its top.
func plain(code string) string {
	var lines []string
	for line := range strings.Lines(code) {
		if !regexp.MustCompile(`^// \w+\.go$`).MatchString(strings.TrimSpace(line)) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return strings.Join(lines, "\n")
}

// sources is the plain code of files.
func sources(t *testing.T, patterns ...string) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all.WriteString(plain(string(text)) + "\n")
		}
	}
	return all.String()
}

// TestCellsAreCompiled: what the table of libraries says to write is in a file of
// their tests.
func TestCellsAreCompiled(t *testing.T) {
	section, _, _ := strings.Cut(read(t, "driver/LIBRARIES.md"), "Who did it is in the context")
	files := sources(t, "*_test.go", root+"/sqltest/dbtest/libraries/*_test.go")
	cells := regexp.MustCompile("`([^`]*[({][^`]*)`").FindAllStringSubmatch(section, -1)
	if len(cells) < 10 {
		t.Errorf("only %d pieces of code", len(cells))
	}
	for _, c := range cells {
		if !strings.Contains(files, c[1]) {
			t.Errorf("this code is in no file of the tests: %s", c[1])
		}
	}
}

func TestGoIsCompiled(t *testing.T) {
	files := sources(t, "*_test.go", root+"/example/*.go", root+"/forward/*/example_test.go", root+"/sqltest/servers/*_test.go",
		root+"/threadline/changes/*_test.go", root+"/threadline/changes/*/*_test.go", root+"/threadline/export/*_test.go")
	for _, block := range blocks(t, "go") {
		if !strings.Contains(files, strings.TrimSpace(plain(block))) {
			t.Errorf("this code of a document is in no file of the tests or of the example:\n%s", block)
		}
	}
}

// TestModulesAreReplaced: what the README replaces in an app's go.mod are modules in these folders,
// all that driver/pgxdriver needs.
func TestModulesAreReplaced(t *testing.T) {
	replaced := map[string]bool{}
	for _, block := range blocks(t, "console") {
		for _, m := range regexp.MustCompile(`(?m)^go mod edit -replace=(\S+)=\.\./aftercommit(\S*)$`).FindAllStringSubmatch(block, -1) {
			text, err := os.ReadFile(filepath.Join(root, m[2], "go.mod"))
			if err != nil || !strings.HasPrefix(string(text), "module "+m[1]+"\n") {
				t.Errorf("the README has %s in folder %q: %v", m[1], m[2], err)
			}
			replaced[m[1]] = true
		}
	}
	text, err := os.ReadFile(filepath.Join(root, "driver/pgxdriver/go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	needed := regexp.MustCompile(`(?m)^(?:module|replace) (\S+)`).FindAllStringSubmatch(string(text), -1)
	if len(needed) < 3 {
		t.Errorf("go.mod names %d modules", len(needed))
	}
	for _, m := range needed {
		if !replaced[m[1]] {
			t.Errorf("the README does not replace %s, which driver/pgxdriver needs", m[1])
		}
	}
}
