package dbtest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const noPostgres = "no PostgreSQL: install its server binaries (Debian: apt-get install postgresql) or set AFTERCOMMIT_PG_BINDIR"

// RequirePostgres returns the folder of PostgreSQL's server programs. Where
// there is none it skips the test, or fails it with AFTERCOMMIT_REQUIRE_PG=1.
func RequirePostgres(tb testing.TB) string {
	tb.Helper()
	if otherSQLite {
		tb.Skip(notSQLite)
	}
	dir := bindir()
	if dir != "" {
		return dir
	}
	if os.Getenv("AFTERCOMMIT_REQUIRE_PG") == "1" {
		tb.Fatal(noPostgres)
	}
	tb.Skip(noPostgres)
	return ""
}

// bindir is looked for once: a process does not gain a server while it runs.
var bindir = sync.OnceValue(func() string {
	for _, dir := range candidates() {
		if hasServer(dir) {
			return dir
		}
	}
	return ""
})

// candidates lists the folders that may hold a server, best first. Where the
// environment names one, no other is looked at.
func candidates() []string {
	if dir := os.Getenv("AFTERCOMMIT_PG_BINDIR"); dir != "" {
		return []string{dir}
	}
	var dirs []string
	if out, err := exec.CommandContext(context.Background(), "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	debian, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is well formed
	return append(dirs, newestFirst(debian)...)
}

// newestFirst sorts Debian's folders by their major version.
func newestFirst(dirs []string) []string {
	major := func(dir string) int {
		n, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		if err != nil {
			return 0
		}
		return n
	}
	slices.SortFunc(dirs, func(a, b string) int { return major(b) - major(a) })
	return dirs
}

func hasServer(dir string) bool {
	for _, program := range []string{"initdb", "postgres"} {
		if _, err := exec.LookPath(filepath.Join(dir, program)); err != nil {
			return false
		}
	}
	return true
}
