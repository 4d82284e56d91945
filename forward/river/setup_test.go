package river_test

import (
	"context"
	"database/sql"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/river"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// calls are what operators and programs for delivery do with River's tables.
var calls = []string{"States", "Retry", "Resume", "Migrate", "Work"}

// call makes a call over db, which has one connection.
func (w *world) call(name string, db *sql.DB, schema string) (err error) {
	w.Helper()
	switch name {
	case "States":
		_, err = river.States(ctx, db, w.e.Dialect, schema)
	case "Retry":
		_, err = river.Retry(ctx, db, w.e.Dialect, schema, forwarder)
	case "Resume":
		_, err = river.Resume(ctx, db, w.e.Dialect, schema, forwarder, "another", false)
	case "Migrate":
		err = river.Migrate(ctx, db, w.e.Dialect, schema)
	case "Work":
		config := *w.river.Config
		config.Schema = schema
		hub := forward.New(&forward.Options{Logger: zap.NewNop(), Queue: river.New(&river.Options{Config: &config}), Environment: "another"})
		hub.Register(w.sink, forward.Async)
		c, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() {
			for c.Err() == nil && len(hub.Status(c).Databases) == 0 { // it has not started
				time.Sleep(time.Millisecond)
			}
			cancel()
		}()
		err = hub.Work(c, db, w.e.Dialect)
	}
	return err
}

// fails makes a call, and checks that its error has all that is wanted.
func (w *world) fails(name string, db *sql.DB, schema string, want ...string) (text string) {
	w.Helper()
	err := w.call(name, db, schema)
	if err == nil {
		w.Errorf("%s in %q: no error", name, schema)
		return ""
	}
	for _, part := range want {
		if !strings.Contains(err.Error(), part) {
			w.Errorf("%s in %q: %v, want %q", name, schema, err, part)
		}
	}
	return err.Error()
}

func (w *world) single(dsn string) *sql.DB {
	w.Helper()
	db := dbtest.Open(w, w.e.Driver, dsn)
	db.SetMaxOpenConns(1)
	return db
}

// TestWrongSchema: the error says that a schema does not exist, or has no tables of
// River's, and which one has.
func TestWrongSchema(t *testing.T) {
	eachOf(t, func(w *world) {
		w.removeTables()
		w.must(w.bare.ExecContext(ctx, `CREATE SCHEMA "River"; CREATE SCHEMA empty`))
		db := w.single(w.dsn)
		for _, name := range calls {
			w.fails(name, db, "river", `there is no schema "river"`, "create it")
			if name != "Migrate" {
				w.fails(name, db, "", "no River tables in the schemas of this role's search_path", "run river.Migrate")
			}
		}
		w.must(river.Migrate(ctx, w.bare, w.e.Dialect, "River"))
		for _, name := range calls {
			w.fails(name, db, "river", `there is no schema "river"`, `such tables are in "River"`)
			if name != "Migrate" {
				w.fails(name, db, "", "search_path", `such tables are in "River"`)
				w.fails(name, db, "empty", `no River tables in schema "empty"`, `such tables are in "River"`)
			}
		}
	}, dbtest.PostgresEngines()...)
}

var granted = regexp.MustCompile(`GRANT .*? TO "[^"]+"(; GRANT .*? TO "[^"]+")*`)

// TestMissingRights: the error names the role, the owner, and what to run; afterwards the
// call works. Other ways than a grant are those of the caller.
func TestMissingRights(t *testing.T) {
	for _, schema := range []string{"", "River"} {
		t.Run("schema "+schema, func(t *testing.T) {
			eachOf(t, func(w *world) {
				if schema != "" {
					w.removeTables()
					w.must(w.bare.ExecContext(ctx, `CREATE SCHEMA "River"`))
					w.must(river.Migrate(ctx, w.bare, w.e.Dialect, schema))
				}
				w.river.Config.Schema = schema
				w.start(forward.Async, forward.RelayElsewhere)
				w.commit(1)
				w.must(w.db.Close())
				for name, can := range map[string][2]string{
					"States": {"may not read how jobs stand", "or connect as that role"},
					"Retry":  {"may not change jobs", "or connect as that role"},
					"Resume": {"may not change jobs", "or connect as that role"},
					"Work":   {"may not work jobs", "in the app"},
				} {
					dsn, grant := w.role()
					role := dsn[strings.LastIndex(dsn, "=")+1:]
					if name == "Work" { // else its error is about that, see TestWorkerRights
						grant("GRANT SELECT ON aftercommit.journal TO $app")
					}
					db := w.single(dsn)
					text := w.fails(name, db, schema, `role "`+role+`"`, "which owns River's tables", can[0], can[1])
					if (name != "Work") == strings.Contains(text, "RelayElsewhere") {
						t.Errorf("%s: %s", name, text)
					}
					grants := granted.FindString(text)
					if grants == "" {
						t.Fatalf("%s: no grant in %s", name, text)
					}
					grant(grants)
					w.must(w.call(name, db, schema))
				}
				dsn, _ := w.role()
				app := w.dsn
				w.dsn = dsn
				err := w.try(forward.Async, forward.RelayElsewhere)
				if err == nil || !strings.Contains(err.Error(), "may not insert jobs") || strings.Contains(err.Error(), "elsewhere") || strings.Contains(err.Error(), "RelayElsewhere") {
					t.Errorf("an app: %v", err)
				}
				w.dsn = app
			}, dbtest.PQ)
		})
	}
}

// TestMigrateWithoutRights: so does the one of Migrate.
func TestMigrateWithoutRights(t *testing.T) {
	eachOf(t, func(w *world) {
		w.must(w.bare.ExecContext(ctx, `CREATE SCHEMA jobs`))
		dsn, grant := w.role()
		db := w.single(dsn)
		w.fails("Migrate", db, "", "may not change River's tables", "which owns them")
		text := w.fails("Migrate", db, "jobs", "may not make River's tables", "which owns the schema", "GRANT USAGE, CREATE ON SCHEMA")
		grant(granted.FindString(text))
		w.must(w.call("Migrate", db, "jobs"))
	}, dbtest.PostgresEngines()...)
}

// TestNoTablesOnSQLite: the error says what to run.
func TestNoTablesOnSQLite(t *testing.T) {
	eachOf(t, func(w *world) {
		w.removeTables()
		db := w.single(w.dsn)
		for _, name := range calls {
			if name != "Migrate" {
				w.fails(name, db, "", "no River tables: run river.Migrate")
			}
			w.fails(name, db, "jobs", `no database is attached as "jobs"`)
		}
		if w.e.Dialect != hooks.SQLite {
			t.Errorf("this is %s", w.e.Dialect)
		}
		w.must(w.call("Migrate", db, ""))
		w.must(w.call("States", db, ""))
	}, dbtest.SQLite)
}
