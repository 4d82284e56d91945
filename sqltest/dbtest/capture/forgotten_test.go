package capture_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// pgx keeps statements that the server may have dropped, as a function does that
// executes DEALLOCATE ALL, or a pooler that gives the session another server
// connection. The driver's questions use none of them, so that the transaction of an
// app that has not prepared its own statement either is not harmed.
func TestForgottenStatements(t *testing.T) {
	const ddl = "CREATE TABLE a (id bigint, n int); CREATE TABLE b (id bigint, n int); CREATE TABLE c (id bigint, n int)"
	for _, mode := range []any{nil, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeDescribeExec} {
		engines := pg
		if mode != nil {
			engines = []dbtest.Engine{dbtest.PGX}
		}
		each(t, ddl, func(w *world) {
			w.must(w.bare.ExecContext(ctx(), "CREATE FUNCTION forget() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$"))
			w.db.SetMaxOpenConns(1)
			write := func(h hooks.Handle, table string) {
				w.Helper()
				if mode == nil {
					w.execOn(h, "INSERT INTO "+table+" VALUES (1, 1)")
				} else {
					w.must(h.ExecContext(ctx(), "INSERT INTO "+table+" VALUES ($1, 1)", mode, 1))
				}
			}
			write(w.db, "a")
			write(w.db, "b")
			w.must(w.db.ExecContext(ctx(), "SELECT forget()"))
			tx := w.begin()
			write(tx, "c")
			write(tx, "a")
			w.must(tx.Commit())
			const counts = " statements=1 rows=1"
			w.want("a.inserted a"+counts, "b.inserted b"+counts, "c.inserted c"+counts, "a.inserted a"+counts)
			var n int
			w.must(w.db.QueryRowContext(ctx(), "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%pg_trigger%' AND statement NOT LIKE '%pg_prepared_statements%'").Scan(&n))
			if n > 0 {
				w.Errorf("%d of the driver's questions are prepared", n)
			}
		}, engines...)
	}
}

// The catalog may have names with characters that the session's encoding lacks:
// that is no error of the app's transaction.
func TestNamesThatTheSessionLacks(t *testing.T) {
	each(t, `CREATE SCHEMA "Łódź\"; CREATE TABLE "Łódź\"."Łuk" (id text); CREATE VIEW v AS SELECT * FROM "Łódź\"."Łuk"`, func(w *world) {
		w.db.SetMaxOpenConns(1)
		for i, set := range []string{"SELECT 1", "SET client_encoding = 'LATIN1'"} {
			w.exec(set)
			tx := w.begin()
			w.execOn(tx, fmt.Sprintf("INSERT INTO v VALUES ('%d')", i))
			w.must(tx.Commit())
		}
		events := w.events()
		if len(events) != 2 {
			w.Fatalf("events: %v", events)
		}
		if a, b := line(events[0]), line(events[1]); a[:len(a)-1] != b[:len(b)-1] {
			w.Errorf("%s before, %s after SET client_encoding", a, b)
		}
	}, pg...)
}
