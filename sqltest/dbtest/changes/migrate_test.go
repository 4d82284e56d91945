package changes_test

import (
	"context"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestMigrateBesideCaptures: what a version before did not make is made without a gap, also where another
// transaction has written and goes on; Keep does not wait for that.
func TestMigrateBesideCaptures(t *testing.T) {
	with(t, func(w *world) {
		index := func() string {
			return w.text("SELECT string_agg(concat(indexrelid, ' ', indisvalid), '') FROM pg_index WHERE indexrelid = to_regclass('threadline.audit_changes_breaks')")
		}
		if got := index(); !strings.HasSuffix(got, " t") {
			t.Fatalf("a new table has the index %q", got)
		}
		w.exec("CREATE TABLE t (id int PRIMARY KEY)")
		w.capture(capture.Table{Name: "t"})
		w.exec("DROP TABLE threadline.audit_captures", "DROP TABLE threadline.audit_keys", "DROP INDEX threadline.audit_changes_breaks")
		tx, err := w.db.BeginTx(ctx, nil)
		w.must(err)
		defer tx.Rollback() // after a failure: what waits for it goes on, and the test ends
		_, err = tx.ExecContext(ctx, "INSERT INTO t VALUES (1)")
		w.must(err)
		if got := w.keep(capture.Table{Name: "t"}); !strings.Contains(got, `lacks the index audit_changes_breaks`) || !strings.Contains(got, `CREATE INDEX CONCURRENTLY audit_changes_breaks ON "threadline"."audit_changes"`) {
			t.Errorf("the warnings are %s", got)
		}

		patient, cancel := context.WithTimeout(ctx, dbtest.Patience)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- w.installer().Migrate(patient) }()
		(&adoption{world: w}).until("it waits for the transaction", func() bool {
			select {
			case err = <-done:
				t.Fatalf("it waits for no transaction: %v", err)
			default:
			}
			return w.text("SELECT count(*) FROM pg_locks WHERE locktype = 'virtualxid' AND NOT granted") == "1"
		})
		_, err = w.db.ExecContext(patient, "INSERT INTO t VALUES (2)")
		w.must(err)
		_, warnings, err := capture.Of(capture.Table{Name: "t"}).Keep(patient, w.db)
		w.must(err)
		if len(warnings) > 0 {
			t.Errorf("while the index is made: %v", warnings)
		}
		if err = w.installer().Migrate(patient); err == nil || !strings.Contains(err.Error(), "another session makes the index") {
			t.Errorf("while the index is made: %v", err)
		}
		w.must(tx.Commit())
		w.must(<-done)
		made := index()
		if got := w.text("SELECT count(*) FROM threadline.audit_gaps") + w.changes(); got != "02" || !strings.HasSuffix(made, " t") {
			t.Errorf("gaps and changes: %s; the index is %s", got, made)
		}

		// As a session that was stopped has left it.
		w.exec("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'threadline.audit_changes_breaks'::regclass")
		if got := w.keep(capture.Table{Name: "t"}); !strings.Contains(got, `DROP INDEX CONCURRENTLY "threadline"."audit_changes_breaks"; CREATE INDEX`) {
			t.Errorf("the warnings are %s", got)
		}
		w.must(w.installer().Migrate(ctx))
		if got := index(); got == made || !strings.HasSuffix(got, " t") {
			t.Errorf("the index is %s, and was %s", got, made)
		}
	}, dbtest.PostgresEngines()...)
}

// TestTimelineWithoutContexts: a role whose timeline is another's, and does not keep who has made a change, says
// what to run.
func TestTimelineWithoutContexts(t *testing.T) {
	with(t, func(w *world) {
		owner, app := dbtest.Name("owner"), dbtest.Name("app")
		w.exec("DROP SCHEMA threadline CASCADE", "CREATE TABLE t (id int PRIMARY KEY)", `CREATE ROLE "`+owner+`" LOGIN`, `CREATE ROLE "`+app+`" LOGIN`)
		w.Cleanup(func() {
			w.exec(`DROP OWNED BY "`+owner+`", "`+app+`" CASCADE`, `DROP ROLE "`+owner+`", "`+app+`"`)
		})
		w.exec(`GRANT CREATE ON DATABASE "`+w.text("SELECT current_database()")+`" TO "`+owner+`"`, `GRANT TRIGGER ON t TO "`+owner+`"`)
		as := func(role string) *world {
			db := dbtest.Open(t, dbtest.PGX.Driver, w.dsn+" user="+role)
			return &world{T: t, db: db, store: changes.NewStore(db, hooks.Postgres, nil)}
		}
		o, a := as(owner), as(app)
		o.keep(capture.Table{Name: "t"})
		if got := a.keep(capture.Table{Name: "t"}); got != "" {
			t.Errorf("without a timeline: %s", got)
		}
		o.exec(threadline.Schema(hooks.Postgres, nil))
		if got := a.keep(capture.Table{Name: "t"}); got != "" {
			t.Errorf("with all: %s", got)
		}
		o.exec("DROP TABLE threadline.audit_contexts CASCADE")
		want := `who makes changes is not known: the timeline has no table "threadline"."audit_contexts": call Migrate of threadline's Store, or run the SQL that threadline.Schema returns, as role "` + owner + `", which owns it`
		if got := a.keep(capture.Table{Name: "t"}); got != want {
			t.Errorf("the warnings are %s, want %s", got, want)
		}
		p, err := a.installer().Plan(ctx)
		w.must(err)
		if got := strings.Join(p.Warnings, "; "); got != want {
			t.Errorf("a plan's warnings are %s", got)
		}
		if got := o.keep(capture.Table{Name: "t"}); got != "" {
			t.Errorf("of the owner: %s", got)
		}
		o.exec(threadline.Schema(hooks.Postgres, nil)) // as it says
		if got := a.keep(capture.Table{Name: "t"}); got != "" {
			t.Errorf("afterwards: %s", got)
		}
	}, dbtest.PGX)
}
