package threadline_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

func TestMigrateTwice(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		spy, statements := spied(t, e)
		s := threadline.NewStore(spy, e.Dialect, nil)
		ctx := context.Background()
		if err := s.Migrate(ctx); err != nil {
			t.Fatal(err)
		}
		record(t, s, entry(1))
		statements.reset()
		if err := s.Migrate(ctx); err != nil {
			t.Fatal(err)
		}
		for _, st := range statements.all() {
			if !strings.HasPrefix(st.query, "SELECT") {
				t.Errorf("the second Migrate ran %s", st.query)
			}
		}
		if err := s.Check(ctx); err != nil {
			t.Error(err)
		}
		if page := timeline(t, s, threadline.Query{}); len(page.Actions) != 1 {
			t.Errorf("%d actions, want 1", len(page.Actions))
		}
	})
}

func TestMigrateConcurrently(t *testing.T) {
	sqlite := dbtest.SQLite.With("sqlite without busy_timeout", func(tb testing.TB) string {
		tb.Helper()
		return dbtest.SQLiteFile(tb)
	})
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		dsn := e.DSN(t)
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			db := dbtest.Open(t, e.Driver, dsn)
			wg.Go(func() { errs[i] = threadline.NewStore(db, e.Dialect, nil).Migrate(context.Background()) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Error(err)
		}
		if err := threadline.NewStore(dbtest.Open(t, e.Driver, dsn), e.Dialect, nil).Check(context.Background()); err != nil {
			t.Error(err)
		}
	}, append(dbtest.PostgresEngines(), sqlite)...)
}

func TestMigrateOverOneConnectionLeavesItClean(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		db := dbtest.Open(t, e.Driver, e.DSN(t))
		db.SetMaxOpenConns(1)
		s := threadline.NewStore(db, e.Dialect, nil)
		settings := func() (s string) {
			if e.Dialect == hooks.Postgres {
				scan(t, db, "SELECT current_setting('search_path') || ', ' || current_setting('lock_timeout')", &s)
			}
			return s
		}
		before := settings()
		if err := s.Migrate(context.Background()); err != nil {
			t.Fatal(err)
		}
		if after := settings(); after != before {
			t.Errorf("search_path and lock_timeout were %s, now %s", before, after)
		}
		exec(t, db, "BEGIN") // fails inside a transaction on SQLite, warns on PostgreSQL
		exec(t, db, "ROLLBACK")
	})
}

func TestMigrateFailsCleanly(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		db := dbtest.Open(t, e.Driver, e.DSN(t))
		db.SetMaxOpenConns(1)
		// The script meets this one after it has made its tables.
		if e.Dialect == hooks.Postgres {
			exec(t, db, "CREATE SCHEMA threadline")
			exec(t, db, "CREATE FUNCTION threadline.record(doc json) RETURNS integer LANGUAGE sql AS 'SELECT 1'")
		} else {
			exec(t, db, "CREATE TABLE threadline_record (doc)")
		}
		s := threadline.NewStore(db, e.Dialect, nil)
		if err := s.Migrate(context.Background()); err == nil {
			t.Fatal("a foreign record was taken over")
		}
		if err := s.Check(context.Background()); !says(err, "does not exist") {
			t.Errorf("half of the migration stayed: %v", err)
		}
		exec(t, db, "BEGIN")
		exec(t, db, "ROLLBACK")
	})
}

func TestSchemaByHand(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		db := dbtest.Open(t, e.Driver, e.DSN(t))
		for _, opts := range []*threadline.Options{nil, {Schema: `Od"d $threadline's\`}} {
			exec(t, db, threadline.Schema(e.Dialect, opts))
			s := threadline.NewStore(db, e.Dialect, opts)
			if err := s.Check(context.Background()); err != nil {
				t.Error(err)
			}
			record(t, s, entry(1))
			if page := timeline(t, s, threadline.Query{}); len(page.Actions) != 1 {
				t.Errorf("%d actions, want 1", len(page.Actions))
			}
		}
	})
}

func TestTwoTimelinesInOneDatabase(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s, db := migrated(t, e)
		other := threadline.NewStore(db, e.Dialect, &threadline.Options{Schema: "other"})
		if err := other.Check(context.Background()); err == nil {
			t.Error("the other timeline is there before it was made")
		}
		if err := other.Migrate(context.Background()); err != nil {
			t.Fatal(err)
		}
		record(t, other, entry(1))
		if n := len(timeline(t, s, threadline.Query{}).Actions); n != 0 {
			t.Errorf("%d actions of the other timeline", n)
		}
	})
}

// TestWrongTables breaks the tables in each way that Check tells apart.
func TestWrongTables(t *testing.T) {
	tests := []struct {
		name     string
		migrate  bool // before break
		pg       string
		sqlite   string
		want     string
		mendable bool
	}{
		{name: "nothing", want: "run Store.Migrate", mendable: true},
		{
			name: "foreign actions", pg: "CREATE SCHEMA threadline; CREATE TABLE threadline.audit_actions (id int)",
			sqlite: "CREATE TABLE threadline_audit_actions (id int)", want: "is not threadline's: name another schema",
		},
		{
			name: "foreign version", pg: "CREATE SCHEMA threadline; CREATE TABLE threadline.schema_version (v int)",
			sqlite: "CREATE TABLE threadline_schema_version (v int)", want: "is not threadline's",
		},
		{
			name: "newer", migrate: true, pg: "INSERT INTO threadline.schema_version VALUES (2)",
			sqlite: "INSERT INTO threadline_schema_version VALUES (2, '')", want: "upgrade the program",
		},
		{
			name: "column gone", migrate: true, pg: "ALTER TABLE threadline.audit_actions DROP COLUMN host",
			sqlite: "DROP TRIGGER threadline_record_insert; ALTER TABLE threadline_audit_actions DROP COLUMN host", want: "lacks the columns host",
		},
		// SQLite alters no table while the trigger of a lost one is about, so these
		// are the last.
		{
			name: "actions gone", migrate: true, pg: "DROP TABLE threadline.audit_actions",
			sqlite: "DROP TABLE threadline_audit_actions", want: "is gone",
		},
		{
			name: "record gone", migrate: true, pg: "DROP FUNCTION threadline.record",
			sqlite: "DROP VIEW threadline_record", want: "is gone, through which",
		},
	}
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		db := dbtest.Open(t, e.Driver, e.DSN(t))
		for i, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				// A timeline of its own for each, since a database is dear.
				schema := fmt.Sprintf("wrong%d", i)
				s := threadline.NewStore(db, e.Dialect, &threadline.Options{Schema: schema})
				ctx := context.Background()
				if tt.migrate {
					if err := s.Migrate(ctx); err != nil {
						t.Fatal(err)
					}
				}
				query := tt.pg
				if e.Dialect == hooks.SQLite {
					query = tt.sqlite
				}
				if query != "" {
					exec(t, db, strings.ReplaceAll(query, "threadline", schema))
				}
				var schemaErr *threadline.SchemaError
				if err := s.Check(ctx); !errors.As(err, &schemaErr) || !says(err, tt.want) {
					t.Errorf("Check: %v, want %q", err, tt.want)
				}
				err := s.Migrate(ctx)
				if tt.mendable != (err == nil) {
					t.Errorf("Migrate: %v", err)
				}
				if !tt.mendable && (!errors.As(err, &schemaErr) || !says(err, tt.want)) {
					t.Errorf("Migrate: %v, want %q", err, tt.want)
				}
			})
		}
	})
}

// TestScriptGuardsItself runs the SQL where Migrate would not have.
func TestScriptGuardsItself(t *testing.T) {
	for name, before := range map[string]string{
		"foreign": "CREATE SCHEMA threadline; CREATE TABLE threadline.audit_actions (id int)",
		"newer":   threadline.Schema(hooks.Postgres, nil) + "INSERT INTO threadline.schema_version VALUES (2)",
	} {
		t.Run(name, func(t *testing.T) {
			db := dbtest.Open(t, "postgres", dbtest.Postgres(t))
			exec(t, db, before)
			_, err := db.ExecContext(context.Background(), threadline.Schema(hooks.Postgres, nil))
			var state interface{ SQLState() string }
			if !errors.As(err, &state) || state.SQLState() != "AC001" {
				t.Errorf("got %v, want SQLSTATE AC001", err)
			}
		})
	}
}

// TestMigrateGivesUpOnALock: what waits for a lock of the app makes the app wait.
func TestMigrateGivesUpOnALock(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		dsn := e.DSN(t)
		hold(t, dbtest.Open(t, e.Driver, dsn), "BEGIN; CREATE SCHEMA threadline")
		err := threadline.NewStore(dbtest.Open(t, e.Driver, dsn), e.Dialect, nil).Migrate(context.Background())
		var state interface{ SQLState() string }
		if !errors.As(err, &state) || state.SQLState() != "55P03" {
			t.Errorf("got %v, want SQLSTATE 55P03, lock_not_available", err)
		}
	}, dbtest.PostgresEngines()...)
}

// TestMigrateWaitsAsLongAsItsContext while another process migrates.
func TestMigrateWaitsAsLongAsItsContext(t *testing.T) {
	sqlite := dbtest.SQLite.With("sqlite without busy_timeout", func(tb testing.TB) string {
		tb.Helper()
		return dbtest.SQLiteFile(tb)
	})
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		dsn := e.DSN(t)
		lock := "SELECT pg_advisory_lock(hashtextextended('threadline', 7355608))"
		if e.Dialect == hooks.SQLite {
			lock = "BEGIN IMMEDIATE"
		}
		release := hold(t, dbtest.Open(t, e.Driver, dsn), lock)
		s := threadline.NewStore(dbtest.Open(t, e.Driver, dsn), e.Dialect, nil)
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		var schemaErr *threadline.SchemaError
		if err := s.Migrate(ctx); err == nil || errors.As(err, &schemaErr) {
			t.Errorf("got %v, want an error that may pass", err)
		}
		release()
		if err := s.Migrate(context.Background()); err != nil {
			t.Errorf("once the lock is free: %v", err)
		}
	}, append(dbtest.PostgresEngines(), sqlite)...)
}

// hold runs query on a connection of its own, which stays as it is until the
// test ends or the function that it returns is called.
func hold(t *testing.T, db *sql.DB, query string) (release func()) {
	t.Helper()
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(context.Background(), query); err != nil {
		t.Fatal(err)
	}
	once := sync.OnceFunc(func() {
		// Out of the pool, so that the server ends the session.
		if err := conn.Raw(func(any) error { return driver.ErrBadConn }); !errors.Is(err, driver.ErrBadConn) {
			t.Error(err)
		}
	})
	t.Cleanup(once)
	return once
}

func TestMigrateWithoutTheRight(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		db := dbtest.Open(t, e.Driver, e.DSN(t))
		db.SetMaxOpenConns(1)
		if e.Dialect == hooks.Postgres {
			exec(t, db, "SET default_transaction_read_only = on")
		} else {
			exec(t, db, "CREATE TABLE t (id)")
			exec(t, db, "PRAGMA query_only = on")
		}
		var schemaErr *threadline.SchemaError
		if err := threadline.NewStore(db, e.Dialect, nil).Migrate(context.Background()); !errors.As(err, &schemaErr) || schemaErr.Err == nil || !says(err, "threadline.Schema") {
			t.Errorf("got %v, want a SchemaError with its cause", err)
		}
	})
}

func TestCheckOfADatabaseThatIsGone(t *testing.T) {
	db, err := sql.Open("sqlite", dbtest.SQLiteFile(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	var schemaErr *threadline.SchemaError
	if err := threadline.NewStore(db, hooks.SQLite, nil).Check(context.Background()); err == nil || errors.As(err, &schemaErr) {
		t.Errorf("got %v, which blames the schema", err)
	}
}
