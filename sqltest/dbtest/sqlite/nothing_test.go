package sqlite_test

import (
	"context"
	sqldriver "database/sql/driver"
	"path/filepath"
	"testing"

	"github.com/ngrok/sqlmw"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// nothing is DDL that finds nothing to do.
var nothing = []string{
	"CREATE TABLE IF NOT EXISTS t (a integer)",
	"CREATE TABLE IF NOT EXISTS t AS SELECT 1 AS a",
	"CREATE INDEX IF NOT EXISTS i ON t (a)",
	"CREATE VIEW IF NOT EXISTS v AS SELECT a FROM t",
	"CREATE TRIGGER IF NOT EXISTS r AFTER INSERT ON t BEGIN SELECT 1; END",
	"DROP TABLE IF EXISTS none",
	"DROP INDEX IF EXISTS none",
	"DROP VIEW IF EXISTS none",
	"DROP TRIGGER IF EXISTS none",
}

// between runs something directly after a statement of the app's.
type between struct {
	sqlmw.NullInterceptor
	query *string
	run   func()
}

func (b between) ConnExecContext(c context.Context, conn sqldriver.ExecerContext, query string, args []sqldriver.NamedValue) (sqldriver.Result, error) {
	res, err := conn.ExecContext(c, query, args)
	if query == *b.query {
		b.run()
	}
	return res, err
}

// newNothing is a world in which another connection writes directly after each
// execution of *query. The connections wait for locks, so that an error says that
// waiting is no use.
func newNothing(t *testing.T, query *string, options ...driver.Option) *world {
	t.Helper()
	var w *world
	base := dbtest.Wrap(t, "sqlite", func(d sqldriver.Driver) sqldriver.Driver {
		return sqlmw.Driver(d, between{query: query, run: func() { w.must(w.bare.ExecContext(ctx, "INSERT INTO other VALUES (1)")) }})
	})
	w = newWorldOn(t, base, append(options, driver.WithDialect(hooks.SQLite))...)
	w.must(w.bare.ExecContext(ctx, "PRAGMA journal_mode = WAL"))
	w.must(w.bare.ExecContext(ctx, `CREATE TABLE other (a integer); CREATE TABLE t (a integer); CREATE INDEX i ON t (a);
		CREATE VIEW v AS SELECT a FROM t; CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END; PRAGMA user_version = 7`))
	return w
}

// TestDDLWithNothingToDo: it takes a read lock only, so that its events cannot be in
// its transaction once another connection has written. They follow its COMMIT.
func TestDDLWithNothingToDo(t *testing.T) {
	failing := "CREATE TABLE t (a integer)"
	ways := map[string][]string{
		"alone":            {""},
		"in a transaction": {"BEGIN", "", "COMMIT"},
		"after a read":     {"BEGIN", "SELECT count(*) FROM t", "", "COMMIT"},
		"after a failure":  {"BEGIN", failing, "", "COMMIT"},
	}
	for _, mode := range []hooks.Mode{hooks.Strict, hooks.BestEffort} {
		for name, way := range ways {
			t.Run(mode.String()+"/"+name, func(t *testing.T) {
				var query string
				w := newNothing(t, &query, driver.WithMode(mode))
				conn := w.conn(w.open("_pragma=busy_timeout(180000)"))
				for _, query = range nothing {
					for _, q := range way {
						if q == "" {
							q = query
						}
						if _, err := conn.ExecContext(ctx, q); err != nil && q != failing {
							t.Fatalf("%s: %s: %v", query, q, err)
						}
					}
				}
				if got := w.text(w.bare, "SELECT count(*) || ' ' || min(action) || ' ' || max(action) FROM aftercommit_audit_events"); got != "9 schema.changed schema.changed" {
					t.Errorf("events: %s", got)
				}
				if got := w.text(w.bare, "PRAGMA user_version"); got != "7" {
					t.Errorf("user_version is %s", got)
				}
				if got := w.warnings(); got != "" {
					t.Error(got)
				}
			})
		}
	}
}

// TestDDLThatWrites: the event of DDL with something to do is in its transaction, with
// it or not at all.
func TestDDLThatWrites(t *testing.T) {
	for _, end := range []string{"COMMIT", "ROLLBACK"} {
		w := newWorld(t)
		conn := w.conn(w.open())
		w.must(conn.ExecContext(ctx, "BEGIN"))
		w.must(conn.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS t (a integer)"))
		if _, err := w.bare.ExecContext(ctx, "PRAGMA busy_timeout = 0; CREATE TABLE u (a integer)"); err == nil {
			t.Error("the transaction has no write lock")
		}
		w.must(conn.ExecContext(ctx, end))
		want := map[string]string{"COMMIT": "1", "ROLLBACK": "0"}[end]
		if got := w.text(w.bare, "SELECT count(*) FROM sqlite_master WHERE name = 't'"); got != want {
			t.Errorf("%s: %s tables", end, got)
		}
		if end == "COMMIT" {
			w.wantTrail(w.bare, "schema.changed")
		} else {
			w.wantNothing(w.bare)
		}
	}
}

// TestDDLIsAtomic: where its events cannot be written, DDL that writes is undone.
func TestDDLIsAtomic(t *testing.T) {
	for _, way := range [][]string{{""}, {"BEGIN", "", "COMMIT"}} {
		w := newWorldOn(t, "sqlite", driver.RequireActor())
		w.must(w.bare.ExecContext(ctx, "CREATE TABLE t (a integer)"))
		conn := w.conn(w.open())
		var err error
		for _, q := range way {
			if q == "" {
				q = "CREATE TABLE IF NOT EXISTS u (a integer)"
			}
			_, err = conn.ExecContext(ctx, q)
		}
		if err == nil {
			t.Error("no error without an actor")
		}
		if got := w.text(w.bare, "SELECT count(*) FROM sqlite_master WHERE name = 'u'"); got != "0" {
			t.Errorf("%q: it has remained", way)
		}
	}
}

// TestDDLOnAttached: DDL in a transaction may write to the other file without a lock
// on main, so it is not taken for DDL that has written nothing. Outside one the names
// in it say where it writes.
func TestDDLOnAttached(t *testing.T) {
	var query string
	w := newNothing(t, &query)
	conn := w.conn(w.open("_pragma=busy_timeout(180000)"))
	w.must(conn.ExecContext(ctx, "ATTACH '"+filepath.Join(t.TempDir(), "aux.db")+"' AS aux"))
	w.must(conn.ExecContext(ctx, "CREATE TABLE aux.stock (a integer)"))
	for _, query = range nothing {
		w.must(conn.ExecContext(ctx, query))
	}
	query = "DROP TABLE IF EXISTS stock"
	w.must(conn.ExecContext(ctx, "BEGIN"))
	w.text(conn, "SELECT count(*) FROM t")
	w.must(conn.ExecContext(ctx, query))
	if _, err := conn.ExecContext(ctx, "COMMIT"); err == nil {
		t.Error("it has committed without its event")
	}
	if got := w.text(conn, "SELECT count(*) FROM aux.sqlite_master WHERE name = 'stock'"); got != "1" {
		t.Error("it was not rolled back")
	}
}
