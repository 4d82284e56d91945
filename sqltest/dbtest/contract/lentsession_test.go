package contract_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ngrok/sqlmw"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// What becomes of a statement that a sync sink executes on the app's connection.
const (
	refused     = "refused"
	givenUp     = "the connection is given up"
	sameSession = "the session is as before"
	unseen      = "the session is changed" // a limit that forward/README.md states
)

// lentStatement is one statement of a sink.
type lentStatement struct {
	before string // what the app executes on the connection before it
	query  string
	ask    string // shows what query may change
	want   string
}

const (
	askTimeout = "SELECT current_setting('statement_timeout')"
	askLock    = "SELECT count(*)::text FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory' AND objid = 4711"
	askTemp    = "SELECT count(*)::text FROM pg_class WHERE relnamespace = pg_my_temp_schema()"
	askCursors = "SELECT count(*)::text FROM pg_cursors"
	askRandom  = "SELECT '1'"
)

func TestForwarderOnTheSessionOfPostgres(t *testing.T) {
	statements := []lentStatement{
		{"", "SELECT set_config('statement_timeout', '77777', NOT true)", askTimeout, refused},
		{"", "SELECT set_config('statement_timeout', '77777', false AND true)", askTimeout, refused},
		{"", "SELECT set_config('statement_timeout', '77777', true)", askTimeout, sameSession},
		{"", "SELECT set_config('a.b', set_config('statement_timeout', '77777', false), true)", askTimeout, refused},
		{"", "CREATE TABLE x1 AS SELECT set_config('statement_timeout', '77777', false)", askTimeout, refused},
		{"", "VALUES (set_config('statement_timeout', '77777', false))", askTimeout, refused},
		{"", "EXPLAIN ANALYZE SELECT set_config('statement_timeout', '77777', false)", askTimeout, refused},
		{"", `SELECT U&"set\005fconfig"('statement_timeout', '77777', false)`, askTimeout, refused},
		{"", "UPDATE pg_settings SET setting = '77777' WHERE name = 'statement_timeout'", askTimeout, refused},
		{"", "BEGIN; SET statement_timeout = 77777; COMMIT", askTimeout, refused},
		{"", "BEGIN; SET LOCAL statement_timeout = 77777; COMMIT", askTimeout, sameSession},
		{"", "DO $$BEGIN PERFORM set_config('statement_timeout', '77777', false); END$$", askTimeout, givenUp},
		{"", "CALL procedure_sets()", askTimeout, givenUp},
		{"", "SELECT function_sets()", askTimeout, unseen},
		{"PREPARE p AS SELECT set_config('statement_timeout', '77777', false)", "EXECUTE p", askTimeout, givenUp},
		{"", "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SHOW default_transaction_read_only", refused},

		{"", "SELECT pg_advisory_lock(4711)", askLock, refused},
		{"", "SELECT pg_try_advisory_lock(4711)", askLock, refused},
		{"SELECT pg_advisory_lock(4711)", "SELECT pg_advisory_unlock(4711)", askLock, refused},
		{"SELECT pg_advisory_lock(4711)", "SELECT pg_advisory_unlock_all()", askLock, refused},
		{"", "SELECT pg_advisory_xact_lock(4711)", askLock, sameSession},
		{"", "SELECT setseed(0.5)", askRandom, refused},

		{"", "CREATE TABLE pg_temp.mine (a int)", askTemp, refused},
		{"", "SELECT 1 AS a INTO pg_temp.mine", askTemp, refused},
		{"", "SELECT 1 AS a INTO TEMP mine", askTemp, refused},
		{"", "CREATE VIEW pg_temp.mine AS SELECT 1 AS a", askTemp, refused},
		{"", "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "SELECT (to_regproc('pg_temp.f') IS NULL)::text", refused},
		{"", "CREATE OR REPLACE TEMP VIEW mine AS SELECT 1 AS a", askTemp, refused},
		{"CREATE TEMP TABLE apps (a int)", "DROP TABLE pg_temp.apps", askTemp, refused},
		{"CREATE TEMP TABLE apps (a int)", "DROP TABLE apps", askTemp, unseen},

		{"", "DECLARE c CURSOR WITH HOLD FOR SELECT 1", askCursors, refused},
		{"DECLARE c CURSOR WITH HOLD FOR SELECT 1", "CLOSE ALL", askCursors, refused},
		{"LISTEN x", "UNLISTEN *", "SELECT count(*)::text FROM pg_listening_channels()", refused},
		{"", "LOAD 'auto_explain'", askRandom, refused},

		{"", "INSERT INTO things (id) SELECT 2", askTimeout, sameSession},
		{"", "UPDATE things SET note = 'set_config' WHERE id = 2", askTimeout, sameSession},
		{"", "BEGIN; SELECT 1/0; COMMIT", askTimeout, givenUp},
		{"", "BEGIN; COMMIT AND CHAIN", askTimeout, givenUp},
	}
	each(t, func(w *world) {
		for _, query := range []string{
			"CREATE PROCEDURE procedure_sets() LANGUAGE sql AS $$SELECT set_config('statement_timeout', '77777', false)$$",
			"CREATE FUNCTION function_sets() RETURNS text LANGUAGE sql AS $$SELECT set_config('statement_timeout', '77777', false)$$",
		} {
			w.must(w.bare.ExecContext(ctx(), query))
		}
		lendFor(w, statements)
	}, dbtest.PostgresCommitEngines()...)
}

func TestForwarderOnTheSessionOfSQLite(t *testing.T) {
	const askTemp = "SELECT group_concat(name) FROM (SELECT name FROM sqlite_temp_master ORDER BY name)"
	lent := []lentStatement{
		{"", "PRAGMA foreign_keys = 1", "PRAGMA foreign_keys", refused},
		{"", "PRAGMA query_only(1)", "PRAGMA query_only", refused},
		{"", "PRAGMA busy_timeout = 5; PRAGMA foreign_keys = 1", "PRAGMA foreign_keys", refused},
		{"", "PRAGMA busy_timeout = 777", "PRAGMA busy_timeout", sameSession},
		{"", "PRAGMA table_info(things)", "PRAGMA foreign_keys", sameSession},
		{"", "ATTACH ':memory:' AS other", "SELECT count(*) FROM pragma_database_list WHERE name = 'other'", refused},
		{"", "CREATE TEMP TABLE mine (id int)", askTemp, refused},
		{"", "CREATE TABLE temp.mine (id int)", askTemp, refused},
		{"", "CREATE TABLE IF NOT EXISTS \"temp\".mine (id int)", askTemp, refused},
		{"", "CREATE VIEW temp.mine AS SELECT 1", askTemp, refused},
		{"", "CREATE TEMP TRIGGER mine AFTER INSERT ON main.things BEGIN SELECT 1; END", askTemp, refused},
		{"", "CREATE TRIGGER temp.mine AFTER INSERT ON main.things BEGIN SELECT 1; END", askTemp, refused},
		{"CREATE TEMP TABLE apps (id int)", "DROP TABLE temp.apps", askTemp, refused},
		{"CREATE TEMP TABLE apps (id int)", "INSERT INTO temp.apps VALUES (1)", "SELECT count(*) FROM temp.apps", refused},
		{"CREATE TEMP TABLE apps (id int)", "DROP TABLE apps", askTemp, unseen},

		{"", "INSERT INTO things (id) VALUES (2)", "PRAGMA foreign_keys", sameSession},
		{"", "BEGIN IMMEDIATE; COMMIT", "PRAGMA foreign_keys", sameSession},
		{"", "SAVEPOINT a; RELEASE a", "PRAGMA foreign_keys", sameSession},
		{"", "SAVEPOINT a", "PRAGMA foreign_keys", givenUp},
		{"", "BEGIN", "PRAGMA foreign_keys", givenUp},
		{"", "BEGIN; SELECT nothing", "PRAGMA foreign_keys", givenUp},
	}
	each(t, func(w *world) { lendFor(w, lent) }, dbtest.SQLite)
}

// lendFor lets a sink execute each statement, on a connection for it alone.
func lendFor(w *world, statements []lentStatement) {
	w.Helper()
	w.db.SetMaxIdleConns(-1)
	for i, s := range statements {
		conn, err := w.db.Conn(ctx())
		w.must(err)
		if s.before != "" {
			w.must(conn.ExecContext(ctx(), s.before))
		}
		before := look(conn, s.ask)
		var got error
		w.sink.during = func(ctx context.Context, _ []journal.Entry) error {
			_, got = forward.Conn(ctx).ExecContext(ctx, s.query)
			return nil
		}
		tx, err := conn.BeginTx(ctx(), nil)
		w.must(err)
		w.must(tx.ExecContext(ctx(), w.e.Rebind("INSERT INTO visits (id) VALUES (?)"), i))
		w.must(tx.Commit())
		after := look(conn, s.ask)
		_ = conn.Close()
		what := sameSession
		switch {
		case after == sqldriver.ErrBadConn.Error():
			what = givenUp
		case after != before:
			what = unseen
		case got != nil && strings.Contains(got.Error(), "would change the session"):
			what = refused
		}
		if what != s.want {
			w.Errorf("%s: %s, want: %s; before %q, after %q, error %v", s.query, what, s.want, before, after, got)
		}
		if got != nil && (s.want == sameSession || s.want == unseen) {
			w.Errorf("%s: %v", s.query, got)
		}
	}
}

// look returns what a query shows, or its error.
func look(conn *sql.Conn, query string) string {
	var s sql.NullString
	if err := conn.QueryRowContext(ctx(), query).Scan(&s); err != nil {
		return err.Error()
	}
	return s.String
}

// TestForwarderInserts: what the session remembers of the last INSERT is the sink's.
func TestForwarderInserts(t *testing.T) {
	each(t, func(w *world) {
		conn := w.conn()
		query, ask := "INSERT INTO things (rowid, id) VALUES (50, 50)", "SELECT last_insert_rowid()"
		if w.e.Dialect == hooks.Postgres {
			w.must(w.bare.ExecContext(ctx(), "CREATE SEQUENCE numbers START 50"))
			query, ask = "INSERT INTO things (id) SELECT nextval('numbers')", "SELECT lastval()"
		}
		w.sink.during = func(ctx context.Context, _ []journal.Entry) error {
			_, err := forward.Conn(ctx).ExecContext(ctx, query)
			return err
		}
		w.record(conn, "a")
		if got := look(conn, ask); got != "50" {
			t.Errorf("%s: %s", ask, got)
		}
	})
}

// TestForwarderPreparesACommit and does not execute it: the transaction that it has begun
// is not the app's.
func TestForwarderPreparesACommit(t *testing.T) {
	each(t, func(w *world) {
		conn := w.conn()
		w.sink.during = func(ctx context.Context, _ []journal.Entry) error {
			_, err := forward.Conn(ctx).ExecContext(ctx, begin(w))
			if err != nil {
				return err
			}
			st, err := forward.Conn(ctx).PrepareContext(ctx, "COMMIT")
			if err == nil {
				err = st.Close()
			}
			return err
		}
		w.record(conn, "a")
		if _, err := conn.ExecContext(ctx(), "SELECT 1"); !errors.Is(err, sqldriver.ErrBadConn) {
			t.Errorf("the connection is kept: %v", err)
		}
	})
}

// TestForwarderFailsToCommit: SQLite keeps a transaction whose COMMIT is refused. Some of
// its drivers roll it back then, others do not.
func TestForwarderFailsToCommit(t *testing.T) {
	reading := func(w *world, _ *sql.Tx) (stop func(), err error) { return w.reader(), nil }
	violating := func(_ *world, tx *sql.Tx) (stop func(), err error) {
		_, err = tx.ExecContext(ctx(), "INSERT INTO lines (id, thing) VALUES (1, 99)")
		return func() {}, err
	}
	for name, refuse := range map[string]func(*world, *sql.Tx) (func(), error){"busy": reading, "foreign key": violating} {
		for _, keeps := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", driver keeps it: ", keeps), func(t *testing.T) {
				e := impatient
				if keeps {
					e.Driver = dbtest.Wrap(t, e.Driver, func(d sqldriver.Driver) sqldriver.Driver { return sqlmw.Driver(d, keeping{}) })
				}
				w := newWorld(t, e, setup{driver: []driver.Option{driver.WithDialect(hooks.SQLite)}})
				conn := w.conn()
				w.must(conn.ExecContext(ctx(), "PRAGMA foreign_keys = 1"))
				var got error
				w.sink.during = func(ctx context.Context, _ []journal.Entry) error {
					tx, err := forward.Conn(ctx).BeginTx(ctx, nil)
					if err != nil {
						return err
					}
					if _, err = tx.ExecContext(ctx, "INSERT INTO things (id) VALUES (1)"); err != nil {
						return err
					}
					stop, err := refuse(w, tx)
					if err != nil {
						return err
					}
					got = tx.Commit()
					stop()
					return nil
				}
				w.record(conn, "a")
				if got == nil {
					t.Error("the COMMIT was not refused")
				}
				w.sink.during = nil
				if tx, err := conn.BeginTx(ctx(), nil); err == nil {
					w.must(tx.Rollback())
				} else if !errors.Is(err, sqldriver.ErrBadConn) {
					t.Errorf("the app's next transaction: %v", err)
				}
				w.must(w.db.ExecContext(ctx(), "INSERT INTO things (id) VALUES (2)")) // nothing holds a lock
				w.want("2", "a", "a")
			})
		}
	}
}

// keeping is a driver whose Commit does no more than to send COMMIT.
type keeping struct{ sqlmw.NullInterceptor }

func (keeping) ConnBeginTx(c context.Context, conn sqldriver.ConnBeginTx, opts sqldriver.TxOptions) (context.Context, sqldriver.Tx, error) {
	tx, err := conn.BeginTx(c, opts)
	return c, keptTx{tx, conn.(sqldriver.ExecerContext)}, err
}

type keptTx struct {
	sqldriver.Tx
	conn sqldriver.ExecerContext
}

func (t keptTx) Commit() error {
	_, err := t.conn.ExecContext(ctx(), "COMMIT", nil)
	return err
}

// TestForwarderBegins a transaction in every way, and leaves it open.
func TestForwarderBegins(t *testing.T) {
	read := func(rows *sql.Rows, err error) error {
		if err != nil {
			return err
		}
		for rows.Next() {
		}
		return errors.Join(rows.Err(), rows.Close())
	}
	prepared := func(ctx context.Context, db *sql.DB, use func(*sql.Stmt) error) error {
		st, err := db.PrepareContext(ctx, "BEGIN")
		if err != nil {
			return err
		}
		return errors.Join(use(st), st.Close())
	}
	ways := map[string]func(ctx context.Context, db *sql.DB) error{
		"exec": func(ctx context.Context, db *sql.DB) error {
			_, err := db.ExecContext(ctx, "BEGIN")
			return err
		},
		"query": func(ctx context.Context, db *sql.DB) error {
			return read(db.QueryContext(ctx, "BEGIN")) //nolint:rowserrcheck // read does
		},
		"prepared, exec": func(ctx context.Context, db *sql.DB) error {
			return prepared(ctx, db, func(st *sql.Stmt) error {
				_, err := st.ExecContext(ctx)
				return err
			})
		},
		"prepared, query": func(ctx context.Context, db *sql.DB) error {
			return prepared(ctx, db, func(st *sql.Stmt) error {
				return read(st.QueryContext(ctx)) //nolint:rowserrcheck // read does
			})
		},
	}
	each(t, func(w *world) {
		for name, begin := range ways {
			w.sink.during = func(ctx context.Context, _ []journal.Entry) error { return begin(ctx, forward.Conn(ctx)) }
			conn := w.conn()
			w.record(conn, "a")
			if _, err := conn.ExecContext(ctx(), "SELECT 1"); !errors.Is(err, sqldriver.ErrBadConn) {
				t.Errorf("%s: the connection is kept: %v", name, err)
			}
		}
	})
}

// TestAttacherLeavesATransaction open: the app gets another connection, also as a
// *sql.Conn.
func TestAttacherLeavesATransaction(t *testing.T) {
	forEach(t, func(t *testing.T, e dbtest.Engine) {
		sink := &attachedSink{query: "BEGIN; SET LOCAL statement_timeout = 77777"}
		w := newWorld(t, e, setup{hook: func(h hooks.Hook) hooks.Hook {
			h.(*forward.Hub).Register(sink, forward.Sync)
			return h
		}})
		conn := w.conn()
		if got := look(conn, askTimeout); got != "0" || sink.calls != 1 {
			t.Errorf("statement_timeout is %s after %d calls", got, sink.calls)
		}
	}, dbtest.PostgresCommitEngines()...)
}

type attachedSink struct {
	query string
	calls int
}

func (s *attachedSink) Attach(ctx context.Context, db *sql.DB) error {
	s.calls++
	_, err := db.ExecContext(ctx, s.query)
	return err
}

func (s *attachedSink) Forward(context.Context, []journal.Entry) error { return nil }
