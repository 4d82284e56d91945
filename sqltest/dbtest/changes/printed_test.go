package changes_test

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// psql runs a script as a person does, and returns what psql prints.
func (w *world) psql(script string) string {
	w.Helper()
	// Many times what a statement waits for a lock, and less than the app could wait.
	c, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	psql := exec.CommandContext(c, filepath.Join(dbtest.RequirePostgres(w.T), "psql"), "--no-psqlrc", "--quiet", "--tuples-only", "--dbname="+w.dsn)
	psql.Stdin = strings.NewReader(script)
	out, err := psql.CombinedOutput()
	if err != nil {
		w.Fatalf("psql: %v\n%s\nof\n%s", err, out, script)
	}
	return string(out)
}

// captures is all that a plan makes.
func (w *world) captures() string {
	w.Helper()
	return w.text(`SELECT concat((SELECT string_agg(concat(tgrelid::regclass, ' ', tgname, ' ', tgenabled, ' ', tgfoid), ', ' ORDER BY tgname) FROM pg_trigger WHERE NOT tgisinternal),
		(SELECT string_agg(concat('; ', proname, ' ', md5(prosrc)), '' ORDER BY proname) FROM pg_proc WHERE pronamespace = 'threadline'::regnamespace AND prorettype = 'trigger'::regtype),
		(SELECT string_agg(concat('; ', s.id), '' ORDER BY id) FROM threadline.audit_shapes s), (SELECT string_agg(concat('; ', c::text), '' ORDER BY c::text) FROM threadline.audit_captures c))`)
}

// wantPatience runs a script beside a transaction that has written to t, and again after it. The first time it gives up in time and
// changes nothing.
func (w *world) wantPatience(script string) {
	w.Helper()
	before := w.captures()
	tx, err := w.db.BeginTx(ctx, nil)
	w.must(err)
	defer tx.Rollback()
	_, err = tx.ExecContext(ctx, "INSERT INTO t VALUES (1)")
	w.must(err)
	if out := w.psql(script); strings.Count(out, "canceling statement due to lock timeout") != 1 {
		w.Errorf("beside a transaction that writes to t, psql says\n%s\nto\n%s", out, script)
	}
	if after := w.captures(); after != before {
		w.Errorf("a script that gave up has left\n%s\nwhere there was\n%s", after, before)
	}
	w.must(tx.Rollback())
	if out := w.psql(script); strings.Contains(out, "ERROR") {
		w.Errorf("run again, psql says\n%s\nto\n%s", out, script)
	}
	if w.captures() == before {
		w.Errorf("run again, this has done nothing:\n%s", script)
	}
}

// TestPrintedPlan: a plan that a person runs holds the app up no longer than Apply does.
func TestPrintedPlan(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY)")
		p, err := w.installer().Plan(ctx, capture.Table{Name: "t"})
		w.must(err)
		w.wantPatience(p.String())
		if p, err = w.installer().Plan(ctx, capture.Table{Name: "t"}); err != nil || len(p.Steps) > 0 {
			t.Errorf("after a plan was run by hand: %v, %s", err, p)
		}
		w.exec("INSERT INTO t VALUES (2)")
		w.wantStory("insert id: NULL → 2;", "t", "2")
	}, dbtest.PQ)
}

// TestPrintedRemedy: so do the statements that a program says to run which may not.
func TestPrintedRemedy(t *testing.T) {
	with(t, func(w *world) {
		role := dbtest.Name("app")
		w.exec("CREATE TABLE t (id int PRIMARY KEY)", `CREATE ROLE "`+role+`" LOGIN`)
		w.Cleanup(func() { w.exec(`DROP OWNED BY "`+role+`" CASCADE`, `DROP ROLE "`+role+`"`) })
		app := dbtest.Open(t, dbtest.PQ.Driver, w.dsn+" user="+role)
		keep := func() error {
			_, _, err := capture.Of(capture.Table{Name: "t"}).Keep(ctx, app)
			return err
		}
		remedy := func(want string) string {
			t.Helper()
			err := keep()
			var remedy interface{ Statements() string }
			if !errors.As(err, &remedy) || !strings.Contains(err.Error(), want) {
				t.Fatalf("a role that may not capture: %v, want %s", err, want)
			}
			return remedy.Statements()
		}
		w.wantPatience(remedy("as the role that owns the history"))
		w.must(keep())

		// The history is the role's, and the table is not, of which one trigger is disabled and the other gone.
		w.exec("DROP SCHEMA threadline CASCADE", `GRANT TRIGGER ON t TO "`+role+`"`, `GRANT CREATE ON DATABASE "`+w.text("SELECT current_database()")+`" TO "`+role+`"`)
		w.must(keep())
		w.exec("ALTER TABLE t DISABLE TRIGGER threadline_row", "DROP TRIGGER threadline_truncate ON t")
		w.wantPatience(remedy("may not replace the triggers"))
		w.must(keep())
		w.exec("INSERT INTO t VALUES (2)")
		w.wantStory("insert id: NULL → 2;", "t", "2")
	}, dbtest.PQ)
}

// TestPrintedSQLite: a plan's text is a script on SQLite, too.
func TestPrintedSQLite(t *testing.T) {
	w := lite(t)
	w.exec("CREATE TABLE t (id INTEGER PRIMARY KEY)")
	p, err := w.installer().Plan(ctx, capture.Table{Name: "t"})
	w.must(err)
	w.exec(p.String(), "INSERT INTO t VALUES (1)")
	w.wantStory("insert id: NULL → 1;", "t", "1")
}
