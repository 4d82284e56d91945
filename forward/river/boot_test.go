package river_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/river"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestNoTables: the first connection says what to do, also where the jobs are
// worked elsewhere.
func TestNoTables(t *testing.T) {
	for _, mode := range []forward.RelayMode{forward.RelayInProcess, forward.RelayElsewhere} {
		dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
			w := &world{T: t, e: e, dsn: e.DSN(t), sink: &sink{}, river: quick()}
			err := w.try(forward.Async, mode)
			if err == nil || !strings.Contains(err.Error(), "river.Migrate") {
				t.Errorf("the first connection: %v", err)
			}
		})
	}
}

// TestRoleWithoutRights: an app that may not insert jobs hears so with its first
// connection, and with what is to be granted it inserts them.
func TestRoleWithoutRights(t *testing.T) {
	eachOf(t, func(w *world) {
		dsn, grant := w.role()
		grant("GRANT SELECT ON river_migration TO $app")
		w.dsn = dsn
		for _, right := range []string{"GRANT INSERT ON river_job TO $app", "GRANT SELECT ON river_job TO $app", "GRANT USAGE ON SEQUENCE river_job_id_seq TO $app"} {
			err := w.try(forward.Async, forward.RelayElsewhere)
			if err == nil || !strings.Contains(err.Error(), "GRANT INSERT, SELECT ON river_job") {
				t.Fatalf("without %q the first connection says %v", right, err)
			}
			grant(right)
		}
		w.start(forward.Async, forward.RelayElsewhere)
		w.commit(1)
		if got := w.jobs(); got != "available 0" {
			t.Errorf("jobs: %s", got)
		}
		w.must(w.db.Close())
	}, dbtest.PostgresEngines()...)
}

// TestStandby: an app that reads from a standby starts, and works no jobs there.
func TestStandby(t *testing.T) {
	c := dbtest.Start(t, nil)
	w := &world{T: t, e: dbtest.PQ, dsn: c.Database(t), sink: &sink{}, river: quick()}
	t.Cleanup(func() { c.Stop(t) }) // a standby drops no database
	w.bare = dbtest.Open(t, w.e.Driver, w.dsn)
	w.must(river.Migrate(ctx, w.bare, w.e.Dialect, ""))
	w.must(w.bare.ExecContext(ctx, "CREATE TABLE orders (id integer PRIMARY KEY)"))
	w.start(forward.Async, forward.RelayElsewhere)
	w.commit(1)
	w.must(w.db.Close())
	w.must(w.bare.ExecContext(ctx, "COPY (SELECT '') TO PROGRAM 'cat > standby.signal'"))
	c.Stop(t)
	c.Restart(t)
	w.start(forward.Async, forward.RelayInProcess)
	var n int
	w.must(w.db.QueryRowContext(ctx, "SELECT count(*) FROM orders").Scan(&n))
	if got := w.jobs(); n != 1 || got != "available 0" {
		t.Errorf("%d orders, jobs %s", n, got)
	}
	w.must(w.hub.Drain(ctx))
	w.must(w.db.Close())
	w.delivered("")
}
