package changes_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

const turn = "SELECT pg_advisory_xact_lock(hashtextextended('threadline captures threadline', 7355608))"

// TestApplyWaits: Apply waits for another process that changes captures, and if that does not end, it says
// which session it is.
func TestApplyWaits(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY)")
		p, err := w.installer().Plan(ctx, capture.Table{Name: "t"})
		w.must(err)
		tx, err := w.db.BeginTx(ctx, nil)
		w.must(err)
		_, err = tx.ExecContext(ctx, turn)
		w.must(err)
		var pid string
		w.must(tx.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&pid))
		if err = w.installer().Apply(ctx, p); err == nil || !strings.Contains(err.Error(), "another process captures tables") || !strings.Contains(err.Error(), "PID "+pid+", role ") {
			t.Errorf("while session %s changes captures: %v", pid, err)
		}
		done := make(chan error, 1)
		go func() { done <- w.installer().Apply(ctx, p) }()
		(&adoption{world: w}).until("it waits", func() bool {
			return w.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == "1"
		})
		w.must(tx.Commit())
		w.must(<-done)
		if got := (&adoption{world: w}).captured(); got != "t" {
			t.Errorf("captured: %s", got)
		}
	}, dbtest.PQ)
}

// TestApplyExcludes: while a plan is applied, or removed, no other process changes captures.
func TestApplyExcludes(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE u (id int PRIMARY KEY)")
		w.capture(capture.Table{Name: "u"})
		p, err := w.installer().Plan(ctx, capture.Table{Name: "t"})
		w.must(err)
		for _, c := range []struct {
			at string // the statement at which it is held up
			do func(s *capture.Installer) error
		}{
			{"CREATE OR REPLACE FUNCTION", func(s *capture.Installer) error { return s.Apply(ctx, p) }},
			{"DROP FUNCTION", func(s *capture.Installer) error { return s.Remove(ctx, "u") }},
		} {
			proxy := dbtest.NewProxy(t, dbtest.Shared(t).Addr())
			trap := proxy.Next(dbtest.HoldStatement, func(query string) bool { return strings.HasPrefix(query, c.at) })
			db := dbtest.Open(t, dbtest.PQ.Driver, dbtest.Via(w.dsn, proxy.Addr()))
			done := make(chan error, 1)
			go func() { done <- c.do(capture.NewInstaller(db, hooks.Postgres, nil)) }()
			defer trap.Release()
			select {
			case <-trap.Sprung():
			case err := <-done:
				t.Fatalf("%s: it was not executed: %v", c.at, err)
			}
			w.exec("CREATE TABLE new (id int PRIMARY KEY)")
			if _, _, err := capture.Of(capture.Table{Name: "new"}).Keep(ctx, w.db); err == nil || !strings.Contains(err.Error(), "another process captures tables") {
				t.Errorf("%s: meanwhile: %v", c.at, err)
			}
			trap.Release()
			w.must(<-done)
			w.exec("DROP TABLE new")
		}
	}, dbtest.PQ)
}

// TestApplyStale: a plan does not take off what another program has masked since, by Apply or by psql.
func TestApplyStale(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, card text)")
		w.capture(capture.Table{Name: "t"})
		for i, apply := range []func(p *capture.Plan) error{
			func(p *capture.Plan) error { return w.installer().Apply(ctx, p) },
			func(p *capture.Plan) error { _, err := w.db.ExecContext(ctx, p.String()); return err },
		} {
			w.exec("ALTER TABLE t ADD x int")
			p, err := w.installer().Plan(ctx, capture.Table{Name: "t"})
			w.must(err)
			w.keep(capture.Table{Name: "t", Mask: []string{"card"}})
			if err = apply(p); err == nil || !strings.Contains(err.Error(), `the capture of "public"."t" was changed since this was planned: plan anew`) {
				t.Errorf("a plan from before: %v", err)
			} else if i == 0 && strings.Contains(err.Error(), "bigint") {
				t.Errorf("Apply passes on how the SQL fails: %v", err)
			}
			w.db.SetMaxIdleConns(0) // the failed script has left its transaction open
			w.db.SetMaxIdleConns(2)
			w.exec("INSERT INTO t VALUES (1, '4111')")
			w.wantStory("insert id: NULL → 1; card: NULL → (masked); x: NULL → NULL;", "t", "1")
			w.exec("DELETE FROM t", "DELETE FROM threadline.audit_changes", "ALTER TABLE t DROP x")
			w.capture(capture.Table{Name: "t"})
			p, err = w.installer().Plan(ctx, capture.Table{Name: "t", Mask: []string{"card"}})
			w.must(err)
			w.must(w.installer().Apply(ctx, p))
			w.capture(capture.Table{Name: "t"})
		}
	}, dbtest.PQ)
}
