package readme_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// block returns the documents' SQL that contains a text.
func block(t *testing.T, containing string) string {
	t.Helper()
	for _, b := range blocks(t, "sql") {
		if strings.Contains(b, containing) {
			return b
		}
	}
	t.Fatalf("the documents have no SQL with %s", containing)
	return ""
}

// TestRoles runs the documented grants and lets an app work with them alone.
func TestRoles(t *testing.T) {
	dsn := dbtest.Postgres(t)
	owner := dbtest.Open(t, "postgres", dsn)
	schema, err := journal.Schema(hooks.Postgres, nil)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, owner, "CREATE TABLE orders (id bigint PRIMARY KEY)",
		schema, threadline.Schema(hooks.Postgres, nil),
		"CREATE ROLE app LOGIN", "CREATE ROLE reader LOGIN", "GRANT INSERT ON orders TO app",
		block(t, "GRANT "))
	t.Cleanup(func() { // roles outlive their database
		_, dropped := owner.ExecContext(context.Background(), "DROP OWNED BY app, reader; DROP ROLE app, reader")
		if dropped != nil {
			t.Error(dropped)
		}
	})

	app := openAudited(t, as(dsn, "app"))
	exec(t, app, "INSERT INTO orders VALUES (1)")
	for _, forbidden := range []string{
		"SELECT count(*) FROM aftercommit.audit_events", "SELECT count(*) FROM aftercommit.journal", "DELETE FROM aftercommit.journal",
		"UPDATE aftercommit.journal SET document = ''", "TRUNCATE aftercommit.journal",
		"SELECT count(*) FROM threadline.audit_actions", "DELETE FROM threadline.audit_actions",
		"DROP SCHEMA aftercommit CASCADE", "DROP SCHEMA threadline CASCADE",
	} {
		if _, refused := app.ExecContext(t.Context(), forbidden); refused == nil {
			t.Errorf("the app may %s", forbidden)
		}
	}

	reader := threadline.NewStore(dbtest.Open(t, "postgres", as(dsn, "reader")), hooks.Postgres, nil)
	page, err := reader.Timeline(t.Context(), threadline.Query{})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Actions) != 1 || page.Actions[0].Action != "orders.inserted" || page.Actions[0].Role != "app" {
		t.Errorf("the reader sees %v, want the app's one insert", page.Actions)
	}
	journaled := dbtest.Open(t, "postgres", as(dsn, "reader"))
	var action string
	if err = journaled.QueryRowContext(t.Context(), "SELECT action FROM aftercommit.audit_events").Scan(&action); err != nil || action != "orders.inserted" {
		t.Errorf("the reader sees %q in the journal, error %v", action, err)
	}
	if _, refused := journaled.ExecContext(t.Context(), "DELETE FROM aftercommit.audit_events"); refused == nil {
		t.Error("the reader may delete from the journal")
	}
}

// as is a DSN for another role.
func as(dsn, role string) string {
	return strings.Replace(dsn, "user=postgres", "user="+role, 1)
}

func TestRemoveFromPostgres(t *testing.T) {
	dsn := dbtest.Postgres(t)
	db := openAudited(t, dsn)
	exec(t, db, "CREATE TABLE orders (id bigint PRIMARY KEY)", "INSERT INTO orders VALUES (1)")
	if err := db.Close(); err != nil { // or its relay may be in the way
		t.Fatal(err)
	}
	bare := dbtest.Open(t, "postgres", dsn)
	exec(t, bare, block(t, "DROP SCHEMA"))

	var left int
	err := bare.QueryRowContext(t.Context(), `SELECT
		(SELECT count(*) FROM pg_namespace WHERE nspname IN ('aftercommit', 'threadline')) +
		(SELECT count(*) FROM pg_class WHERE relname LIKE 'audit\_%') +
		(SELECT count(*) FROM pg_proc WHERE proname = 'record') - count(*) + 1 FROM orders`).Scan(&left)
	if err != nil || left != 0 {
		t.Errorf("%d things are left, error %v", left, err)
	}
}

func TestRemoveFromSQLite(t *testing.T) {
	t.Run("new", func(t *testing.T) { removeFromSQLite(t, "") })
	t.Run("upgraded", func(t *testing.T) {
		script, err := os.ReadFile("../journal/testdata/sqlite_v1.sql.txt")
		if err != nil {
			t.Fatal(err)
		}
		removeFromSQLite(t, strings.ReplaceAll(string(script), "{prefix}", "aftercommit_"))
	})
}

// removeFromSQLite runs the documented SQL where before has run, and then an audited app.
func removeFromSQLite(t *testing.T, before string) {
	t.Helper()
	dsn := dbtest.SQLite.DSN(t)
	bare := dbtest.Open(t, "sqlite", dsn)
	exec(t, bare, before)
	if err := threadline.NewStore(bare, hooks.SQLite, nil).Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	exec(t, dbtest.Open(t, "sqlite-audited", dsn), "CREATE TABLE orders (id bigint PRIMARY KEY)", "INSERT INTO orders VALUES (1)")
	exec(t, bare, block(t, "DROP VIEW"))

	var names string
	err := bare.QueryRowContext(t.Context(),
		"SELECT group_concat(name) FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'").Scan(&names)
	if err != nil || names != "orders" {
		t.Errorf("left are %q, want orders alone; error %v", names, err)
	}
}
