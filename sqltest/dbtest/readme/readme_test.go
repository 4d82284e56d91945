// Package readme_test keeps the README true: its Go code is code of these tests
// or of the example, and its SQL is run here.
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

// blocks returns the README's blocks of code in a language.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
		if m[1] == language {
			found = append(found, m[2])
		}
	}
	if len(found) == 0 {
		t.Fatalf("the README has no block of %s", language)
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

func TestGoIsCompiled(t *testing.T) {
	var sources strings.Builder
	for _, pattern := range []string{"*_test.go", root + "/example/*.go", root + "/forward/*/example_test.go", root + "/sqltest/servers/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sources.WriteString(plain(string(text)) + "\n")
		}
	}
	for _, block := range blocks(t, "go") {
		if !strings.Contains(sources.String(), strings.TrimSpace(plain(block))) {
			t.Errorf("this code of the README is not in a file of these tests or of the example:\n%s", block)
		}
	}
}
