package river_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/river"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// role makes the journal and a role with the grants of the README's Roles, and returns a
// function that executes statements with the role in place of $app.
func (w *world) role() (dsn string, grant func(queries ...string)) {
	w.Helper()
	schema, err := journal.Schema(hooks.Postgres, nil)
	w.must(err)
	role := dbtest.Name("app")
	grant = func(queries ...string) {
		w.Helper()
		for _, query := range queries {
			w.must(w.bare.ExecContext(ctx, strings.ReplaceAll(query, "$app", `"`+role+`"`)))
		}
	}
	grant("BEGIN; "+schema+" COMMIT", "CREATE ROLE $app LOGIN", "GRANT INSERT ON orders TO $app",
		"GRANT USAGE ON SCHEMA aftercommit TO $app", "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA aftercommit TO $app")
	w.Cleanup(func() { grant("DROP OWNED BY $app; DROP ROLE $app") })
	return w.dsn + " user=" + role, grant
}

// TestSchemaWithCapitals: it works, and what is missing there is
// named so that the grants can be run.
func TestSchemaWithCapitals(t *testing.T) {
	const schema, quoted = "River", `"River"`
	eachOf(t, func(w *world) {
		w.river.Config.Schema = schema
		owner := w.dsn
		dsn, grant := w.role()
		fails := func(want string) {
			t.Helper()
			err := w.try(forward.Async, forward.RelayElsewhere)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("the first connection says %v, want %q", err, want)
			}
		}
		fails("there is no schema " + quoted)
		grant("CREATE SCHEMA " + quoted)
		fails("river.Migrate")
		w.must(river.Migrate(ctx, w.bare, w.e.Dialect, schema))
		w.dsn = dsn
		fails("GRANT USAGE ON SCHEMA " + quoted + " TO")
		grant("GRANT USAGE ON SCHEMA " + quoted + " TO $app")
		fails("GRANT SELECT ON " + quoted + ".river_migration TO")
		grant("GRANT SELECT ON " + quoted + ".river_migration TO $app")
		fails("GRANT INSERT, SELECT ON " + quoted + ".river_job TO")
		grant("GRANT INSERT, SELECT ON " + quoted + ".river_job TO $app")
		fails("GRANT USAGE ON SEQUENCE " + quoted + ".river_job_id_seq TO")
		grant("GRANT USAGE ON SEQUENCE " + quoted + ".river_job_id_seq TO $app")
		w.start(forward.Async, forward.RelayElsewhere)
		w.commit(1)
		w.dsn = owner
		w.work()
		w.until("it is delivered", func() bool { return w.sink.calls() == "1" }, w.sink.calls)
		w.must(w.db.Close())
	}, dbtest.PostgresEngines()...)
}

// TestWorkerRights: with what the documentation lists, and nothing else, a role works jobs;
// without any of it Hub.Work says all that it needs.
func TestWorkerRights(t *testing.T) {
	eachOf(t, func(w *world) {
		w.start(forward.Async, forward.RelayElsewhere)
		w.commit(1)
		dsn, grant := w.role()
		w.dsn = dsn
		fails := func(want string) {
			t.Helper()
			c, cancel := context.WithCancel(ctx)
			defer cancel()
			db := dbtest.Open(w, w.e.Driver, w.dsn)
			err := w.hub.Work(c, db, w.e.Dialect)
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "may not work jobs") {
				t.Errorf("Hub.Work says %v, want %q", err, want)
			}
		}
		c, cancel := context.WithCancel(ctx)
		defer cancel()
		if err := w.hub.Work(c, dbtest.Open(w, w.e.Driver, w.dsn), w.e.Dialect); err == nil || !strings.Contains(err.Error(), `GRANT SELECT ON "aftercommit".journal TO`) {
			t.Errorf("Hub.Work says %v, want that it may not read the journal", err)
		}
		grant("GRANT SELECT ON aftercommit.journal TO $app")
		for _, right := range []string{
			"SELECT ON river_migration", "SELECT ON river_job", "UPDATE ON river_job", "DELETE ON river_job",
			"SELECT, INSERT, UPDATE, DELETE ON river_leader", "SELECT, INSERT, UPDATE, DELETE ON river_queue",
		} {
			fails("GRANT SELECT, UPDATE, DELETE ON river_job TO")
			grant("GRANT " + right + " TO $app")
		}
		w.work()
		w.untilJobs("completed 1")
		w.must(w.db.Close())
	}, dbtest.PostgresEngines()...)
}

// TestMisuse: what cannot work says so.
func TestMisuse(t *testing.T) {
	says := func(what string, err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
	}
	for _, workers := range []int{-1, 10_001} {
		says(fmt.Sprint(workers), recovered(func() { river.New(&river.Options{MaxWorkers: workers}) }), "MaxWorkers is "+fmt.Sprint(workers))
	}
	says("Migrate", river.Migrate(ctx, nil, hooks.Postgres, ""), "db is nil")
	_, err := river.Retry(ctx, nil, hooks.SQLite, "", forwarder)
	says("Retry", err, "db is nil")
	_, err = river.Resume(ctx, nil, hooks.Postgres, "", forwarder, "", true)
	says("Resume", err, "db is nil")
	_, err = river.States(ctx, nil, hooks.Postgres, "")
	says("States", err, "db is nil")
	q := river.New(nil)
	says("Enqueue", q.Enqueue(ctx, nil, hooks.Postgres, []forward.Job{{Forwarder: forwarder, MaxAttempts: 1}}), "db is nil")
	says("Check", q.Check(ctx, nil, hooks.Postgres), "db is nil")
	_, err = q.Start(ctx, forward.Worker{Dialect: hooks.Postgres})
	says("Start", err, "db is nil")
	each(t, func(w *world) {
		w.start(forward.Async, forward.RelayElsewhere)
		w.commit(1)
		_, err := river.Retry(ctx, w.bare, w.e.Dialect, "", "river_test.sink")
		says("Retry", err, forwarder)
		_, err = river.Resume(ctx, w.bare, w.e.Dialect, "", "river_test.sink", "", true)
		says("Resume", err, forwarder)
		w.retry(0)
		w.work()
		w.untilJobs("completed 1")
		w.must(w.bare.ExecContext(ctx, "DELETE FROM river_job"))
		w.retry(0) // workers have had it
	})
}

func recovered(f func()) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%v", v)
		}
	}()
	f()
	return nil
}
