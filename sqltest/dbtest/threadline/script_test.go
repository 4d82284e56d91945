package threadline_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/lib/pq"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// TestSchemaInATransaction: tools for migrations run a script in a transaction, which is
// theirs to commit or to roll back, and in which they run other statements too.
func TestSchemaInATransaction(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		db := dbtest.Open(t, e.Driver, e.DSN(t))
		s := threadline.NewStore(db, e.Dialect, nil)
		for _, end := range []string{"ROLLBACK", "COMMIT"} {
			inATransaction(t, db, e.Dialect, end)
			if err := s.Check(context.Background()); (err == nil) != (end == "COMMIT") {
				t.Errorf("after %s: %v", end, err)
			}
		}
		record(t, s, entry(1))
	})
}

func inATransaction(t *testing.T, db *sql.DB, dialect hooks.Dialect, end string) {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	run := func(queries ...string) {
		t.Helper()
		for _, query := range queries {
			if _, err := conn.ExecContext(t.Context(), query); err != nil {
				t.Fatalf("%.100s: %v", query, err)
			}
		}
	}
	set := func() (s string) {
		t.Helper()
		if dialect == hooks.Postgres {
			if err := conn.QueryRowContext(t.Context(), settings).Scan(&s); err != nil {
				t.Fatal(err)
			}
		}
		return s
	}
	run("BEGIN", "CREATE TABLE of_the_app (id int)")
	if dialect == hooks.Postgres {
		run("SET LOCAL lock_timeout = '7s'")
	}
	before := set()
	run(threadline.Schema(dialect, nil))
	if after := set(); after != before {
		t.Errorf("after the script: %s, before: %s", after, before)
	}
	run("CREATE TABLE of_the_app_2 (id int)", end)
}

// settings are those that differ from what the session began with, or may.
const settings = `SELECT string_agg(concat(name, '=', setting), ' ' ORDER BY name) FROM pg_settings
	WHERE source = 'session' OR name IN ('search_path', 'lock_timeout')`

// TestSchemaIsOneStatement: it can be prepared, which lib/pq and pgx do not do if they
// need not, and has no results and nothing to say, also when it runs again.
func TestSchemaIsOneStatement(t *testing.T) {
	ctx := context.Background()
	base, err := pq.NewConnector(dbtest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(pq.ConnectorWithNoticeHandler(base, func(n *pq.Error) { t.Errorf("%s: %s", n.Severity, n.Message) }))
	defer db.Close()
	script := threadline.Schema(hooks.Postgres, nil)
	for range 2 {
		prepared, err := db.PrepareContext(ctx, script)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := prepared.QueryContext(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if columns, err := rows.Columns(); err != nil || len(columns) > 0 || rows.Next() {
			t.Errorf("it has the columns %q, %v", columns, err)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		if err := prepared.Close(); err != nil {
			t.Fatal(err)
		}
	}
	record(t, threadline.NewStore(db, hooks.Postgres, nil), entry(1))
	exec(t, db, script)
	if n := len(timeline(t, threadline.NewStore(db, hooks.Postgres, nil), threadline.Query{}).Actions); n != 1 {
		t.Errorf("%d actions, want the one from before", n)
	}
}

// TestSchemaByEachProtocol of pgx.
func TestSchemaByEachProtocol(t *testing.T) {
	config, err := pgx.ParseConfig(dbtest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		config.DefaultQueryExecMode = mode
		db := stdlib.OpenDB(*config)
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(t.Context(), threadline.Schema(hooks.Postgres, nil)); err != nil {
			t.Errorf("%v: %v", mode, err)
		}
		if err := tx.Commit(); err != nil {
			t.Error(err)
		}
		if err := threadline.NewStore(db, hooks.Postgres, nil).Check(t.Context()); err != nil {
			t.Errorf("%v: %v", mode, err)
		}
		exec(t, db, "DROP SCHEMA threadline CASCADE")
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestSchemaSays: who reads only the script's first lines knows how to run it.
func TestSchemaSays(t *testing.T) {
	for dialect, want := range map[hooks.Dialect]string{hooks.Postgres: "It is one statement", hooks.SQLite: "Run them once, in a transaction"} {
		var comment []string
		for line := range strings.Lines(threadline.Schema(dialect, nil)) {
			text, isComment := strings.CutPrefix(line, "--")
			if !isComment {
				break
			}
			comment = append(comment, strings.TrimSpace(text))
		}
		if text := strings.Join(comment, " "); !strings.Contains(text, want) {
			t.Errorf("%s: the script begins with %q", dialect, text)
		}
	}
}
