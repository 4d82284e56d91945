package legacy_test

import (
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

const libpq = "github.com/lib/pq"

// TestKeepsItsDriver: an app that requires an old lib/pq keeps that version, and
// its error texts, when it adopts the trail. The oldest is what go.mod requires.
func TestKeepsItsDriver(t *testing.T) {
	for _, version := range []string{versionOf(t, root, libpq), "v1.10.9", "v1.12.3"} {
		t.Run(version, func(t *testing.T) {
			dir := pinned(t, version)
			bareDSN, dsn := dbtest.Postgres(t), dbtest.Postgres(t)
			want := printed(t, build(t, dir, "."), bareDSN)

			requireCore(t, dir)
			place(t, dir, "audit.go", "oldest_audit.go.txt")
			if got := printed(t, build(t, dir, "."), dsn); got != want {
				t.Errorf("the app says\n%sand said before\n%s", got, want)
			}
			if got := versionOf(t, dir, libpq); got != version {
				t.Errorf("the app has lib/pq %s now", got)
			}
			db := dbtest.Open(t, "postgres", dsn)
			if got := actions(t, db); got != "schema.changed orders.inserted" {
				t.Errorf("the journal has %s", got)
			}
		})
	}
}

// pinned makes the app, with a version of lib/pq.
func pinned(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	mod := "module app\n\ngo 1.26.0\n\nrequire " + libpq + " " + version + "\n"
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o644); err != nil {
		t.Fatal(err)
	}
	place(t, dir, "main.go", "oldest_app.go.txt")
	if _, err := goCommand(t, dir, "list", "-deps", "."); err != nil {
		t.Skip("cannot download lib/pq " + version)
	}
	return dir
}

// place copies a file of testdata into the app.
func place(t *testing.T, dir, name, source string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", source))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func versionOf(t *testing.T, dir, module string) string {
	t.Helper()
	out, err := goCommand(t, dir, "list", "-m", "-f", "{{.Version}}", module)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func printed(t *testing.T, binary, dsn string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), binary, dsn).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// actions lists what the journal has.
func actions(t *testing.T, db *sql.DB) string {
	t.Helper()
	var all string
	const query = "SELECT string_agg(action, ' ' ORDER BY key, ordinal) FROM aftercommit.audit_events"
	if err := db.QueryRowContext(t.Context(), query).Scan(&all); err != nil {
		t.Fatal(err)
	}
	return all
}
