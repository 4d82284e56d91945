package contract_test

import (
	"context"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestForwarderChangesTheSession of the lent connection: it is refused, and the app's
// session stays as it was.
func TestForwarderChangesTheSession(t *testing.T) {
	postgres := []string{
		"SET search_path = pg_catalog", "SET SESSION AUTHORIZATION DEFAULT", "RESET ALL", "LISTEN x", "CREATE TEMP TABLE orders (id int)",
		"SELECT pg_advisory_lock(1)", "SELECT set_config('search_path', 'pg_catalog', false)", "SELECT 1; SET search_path = pg_catalog",
	}
	sqlite := []string{"PRAGMA foreign_keys = 1", "PRAGMA query_only(1)", "ATTACH ':memory:' AS other", "CREATE TEMP TABLE orders (id int)"}
	each(t, func(w *world) {
		statements := postgres
		if w.e.Dialect == hooks.SQLite {
			statements = sqlite
		}
		w.db.SetMaxOpenConns(1)
		for _, query := range statements {
			ways := map[string]func(ctx context.Context) error{
				"Exec": func(ctx context.Context) error {
					_, err := forward.Conn(ctx).ExecContext(ctx, query)
					return err
				},
				"Query": func(ctx context.Context) error {
					rows, err := forward.Conn(ctx).QueryContext(ctx, query)
					if err == nil {
						_ = rows.Close()
						err = rows.Err()
					}
					return err
				},
				"Prepare": func(ctx context.Context) error {
					st, err := forward.Conn(ctx).PrepareContext(ctx, query)
					if err == nil {
						_ = st.Close()
					}
					return err
				},
			}
			for way, use := range ways {
				var got error
				w.sink.during = func(ctx context.Context, _ []journal.Entry) error {
					got = use(ctx)
					return got
				}
				w.record(w.db, "a")
				if got == nil || !strings.Contains(got.Error(), "would change the session") {
					t.Errorf("%s by %s: %v", query, way, got)
				}
			}
		}
		if w.e.Dialect == hooks.Postgres {
			var path string
			w.must(w.db.QueryRowContext(ctx(), "SHOW search_path").Scan(&path))
			if path != `"$user", public` {
				t.Errorf("the app's search_path is %s", path)
			}
		}
		w.must(w.db.ExecContext(ctx(), "INSERT INTO orders (id) VALUES (7)"))
		if got := w.list("SELECT id FROM orders"); got != "7" {
			t.Errorf("orders [%s], want [7]", got)
		}
	})
}

// TestForwarderLeavesARawTransaction open on the lent connection: the app gets another
// one, and what it writes next is not in it.
func TestForwarderLeavesARawTransaction(t *testing.T) {
	misbehave(t, 0, func(w *world, ctx context.Context) error {
		_, err := forward.Conn(ctx).ExecContext(ctx, begin(w))
		return err
	}, func(w *world) {
		w.must(w.db.ExecContext(ctx(), "INSERT INTO things (id) VALUES (3)"))
		if rows := w.rows(); rows != "1 2 3" {
			w.Errorf("rows [%s], want [1 2 3]", rows)
		}
	})
}

func begin(w *world) string {
	if w.e.Dialect == hooks.SQLite {
		return "BEGIN IMMEDIATE"
	}
	return "BEGIN"
}

// TestForwarderEndsItsRawTransaction: the app keeps its connection.
func TestForwarderEndsItsRawTransaction(t *testing.T) {
	each(t, func(w *world) {
		w.db.SetMaxOpenConns(1)
		w.sink.during = func(ctx context.Context, _ []journal.Entry) error {
			for _, query := range []string{begin(w), "INSERT INTO things (id) VALUES (1)", "COMMIT"} {
				if _, err := forward.Conn(ctx).ExecContext(ctx, query); err != nil {
					return err
				}
			}
			return nil
		}
		var before, after int
		w.must(w.db.QueryRowContext(ctx(), "SELECT pg_backend_pid()").Scan(&before))
		w.record(w.db, "a")
		w.must(w.db.QueryRowContext(ctx(), "SELECT pg_backend_pid()").Scan(&after))
		if rows := w.rows(); rows != "1" || before != after {
			t.Errorf("rows [%s], want [1]; connection %d, then %d", rows, before, after)
		}
	}, dbtest.PostgresCommitEngines()...)
}

// TestStatementCacheIsTheApps: pgx keeps the app's statements prepared, and none of ours
// or of a sync forwarder, of which each is another.
func TestStatementCacheIsTheApps(t *testing.T) {
	each(t, func(w *world) {
		w.db.SetMaxOpenConns(1)
		w.sink.during = func(ctx context.Context, entries []journal.Entry) error {
			var id string
			return forward.Conn(ctx).QueryRowContext(ctx, "SELECT key FROM aftercommit.written('{"+entries[0].Key.String()+"}')").Scan(&id)
		}
		var n int
		w.must(w.db.QueryRowContext(ctx(), "SELECT count(*) FROM things WHERE id = $1", 1).Scan(&n))
		for id := range 5 {
			tx := w.begin()
			w.must(tx.ExecContext(ctx(), "INSERT INTO orders (id) VALUES ($1)", id))
			w.record(tx, "a")
			w.must(tx.Commit())
		}
		if n := len(w.told.of(hooks.NoticeFailed)); n > 0 {
			t.Errorf("%d failures", n)
		}
		rows, err := w.db.QueryContext(ctx(), "SELECT statement FROM pg_prepared_statements")
		w.must(err)
		defer func() { _ = rows.Close() }()
		apps := 0
		for rows.Next() {
			var statement string
			w.must(rows.Scan(&statement))
			switch {
			case strings.Contains(statement, "pg_prepared_statements"):
			case strings.Contains(statement, "FROM things"), strings.Contains(statement, "INTO orders"):
				apps++
			default:
				t.Errorf("prepared: %s", statement)
			}
		}
		w.must(rows.Err())
		if apps != 2 {
			t.Errorf("%d of the app's two statements are prepared", apps)
		}
	}, dbtest.PGX)
}

// TestOnCommitOnItsOwnConnection waits for the Commit that waits for it: the notice says
// so.
func TestOnCommitOnItsOwnConnection(t *testing.T) {
	each(t, func(w *world) {
		c := w.conn()
		tx, err := c.BeginTx(ctx(), nil)
		w.must(err)
		w.must(hooks.OnCommit(ctx(), tx, func(ctx context.Context) { _, _ = c.ExecContext(ctx, "SELECT 1") }))
		w.must(tx.Commit())
		told := w.told.of(hooks.NoticeCallback)
		if len(told) != 1 || !strings.Contains(told[0].Err.Error(), "*sql.Conn or *sql.Tx of its transaction") {
			t.Errorf("told %v", told)
		}
	}, dbtest.PQ)
}
