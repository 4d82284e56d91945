package dbtest_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestDatabaseOfAnEarlierTest: nobody sees in it what an earlier test did.
func TestDatabaseOfAnEarlierTest(t *testing.T) {
	ctx := context.Background()
	cluster := dbtest.Shared(t)
	const objects = `SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace)
		+ (SELECT count(*) FROM pg_namespace WHERE nspname !~ '^pg_') + (SELECT count(*) FROM pg_extension)
		+ (SELECT count(*) FROM pg_db_role_setting WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())) + (SELECT count(*) FROM pg_proc) + (SELECT count(*) FROM pg_publication)`
	var left *sql.DB
	seen := make(map[string]int)
	for _, leaves := range []string{
		"", "CREATE TABLE things (id bigserial PRIMARY KEY)", `CREATE SCHEMA "Odd ""name"; CREATE TABLE "Odd ""name".t (id int)`,
		"DROP SCHEMA public", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
		"CREATE PUBLICATION p FOR ALL TABLES",
		"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = ''1MB''', current_database()); END $$", "", "",
	} {
		t.Run(leaves, func(t *testing.T) {
			db, err := sql.Open("postgres", cluster.Database(t)) // left open, as a test may by mistake
			if err != nil {
				t.Fatal(err)
			}
			left = db
			var name string
			var n int
			if err := db.QueryRowContext(ctx, "SELECT current_database()").Scan(&name); err != nil {
				t.Fatal(err)
			}
			if err := db.QueryRowContext(ctx, objects).Scan(&n); err != nil {
				t.Fatal(err)
			}
			if first, ok := seen["objects"]; ok && n != first {
				t.Errorf("%d objects in database %s, want %d", n, name, first)
			}
			seen["objects"] = n
			seen[name]++
			if leaves != "" {
				if _, err := db.ExecContext(ctx, leaves); err != nil {
					t.Fatal(err)
				}
			}
		})
		defer left.Close()
	}
	if len(seen) > 5 {
		t.Errorf("%d databases were made for 9 tests", len(seen)-1)
	}
}
