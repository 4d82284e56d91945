package river_test

import (
	"fmt"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/river"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// unworked checks which forwarders have jobs that no process works.
func (w *world) unworked(want ...string) {
	w.Helper()
	names, err := river.New(w.river).Unworked(ctx, w.bare, w.e.Dialect)
	w.must(err)
	if fmt.Sprint(names) != fmt.Sprint(want) {
		w.Errorf("unworked: %v, want %v", names, want)
	}
}

// TestUnworked: jobs that have waited, of a queue that no client has reported, show a
// forwarder that no process works.
func TestUnworked(t *testing.T) {
	each(t, func(w *world) {
		w.start(forward.Async, forward.RelayElsewhere)
		w.commit(1)
		w.commit(2)
		w.unworked() // not for long
		w.must(w.bare.ExecContext(ctx, "UPDATE river_job SET created_at = "+w.past("16 minutes")))
		w.unworked(forwarder)
		w.must(w.bare.ExecContext(ctx, "INSERT INTO river_queue (name, metadata, created_at, updated_at) SELECT queue, '{}', "+w.past("2 hours")+", "+w.past("14 minutes")+" FROM river_job WHERE id = 1"))
		w.unworked()
		w.must(w.bare.ExecContext(ctx, "UPDATE river_queue SET updated_at = "+w.past("16 minutes")))
		w.unworked(forwarder)
		w.must(w.bare.ExecContext(ctx, "UPDATE river_job SET state = 'completed', finalized_at = created_at"))
		w.unworked()
	})
}

// TestUnworkedBehindALock: the look for unworked jobs is part of an app's start, and must not
// keep it waiting for a lock.
func TestUnworkedBehindALock(t *testing.T) {
	eachOf(t, func(w *world) {
		tx, err := w.bare.BeginTx(ctx, nil)
		w.must(err)
		defer func() { _ = tx.Rollback() }()
		w.must(tx.ExecContext(ctx, "LOCK TABLE river_queue IN ACCESS EXCLUSIVE MODE"))
		if names, err := river.New(w.river).Unworked(ctx, w.bare, w.e.Dialect); hooks.SQLState(err) != "55P03" {
			w.Errorf("unworked: %v, %v, want SQLSTATE 55P03", names, err)
		}
		w.start(forward.Async, forward.RelayElsewhere)
	}, dbtest.PostgresEngines()...)
}

// leaveAnOldJob leaves a job that has waited long enough, and no app that runs.
func (w *world) leaveAnOldJob() {
	w.Helper()
	w.start(forward.Async, forward.RelayElsewhere)
	w.commit(1)
	w.must(w.db.Close())
	w.must(w.bare.ExecContext(ctx, "UPDATE river_job SET created_at = "+w.past("16 minutes")))
}

// TestUnworkedIsSaid: an app whose workers are elsewhere warns at its start, and a process
// that works the jobs of another forwarder does. The one that works them does not.
func TestUnworkedIsSaid(t *testing.T) {
	each(t, func(w *world) {
		w.leaveAnOldJob()
		core, logs := observer.New(zap.WarnLevel)
		said := func(driver string) bool {
			for _, line := range logs.FilterMessageSnippet("no process works them").All() {
				if line.ContextMap()["forwarder"] == forwarder && strings.HasPrefix(line.ContextMap()["driver"].(string), driver) {
					return true
				}
			}
			return false
		}
		lines := func() string { return fmt.Sprintf("%+v", logs.All()) }
		w.must(w.open(&forward.Options{Logger: zap.New(core), Relay: forward.RelayElsewhere, Queue: river.New(w.river)}, forward.Async))
		if !said(w.driver) {
			t.Errorf("the app says %s", lines())
		}
		w.must(w.db.Close())
		logs.TakeAll()
		own := w.hub
		w.hub = forward.New(&forward.Options{Logger: zap.New(core), Queue: river.New(w.river)})
		w.hub.Register(&other{}, forward.Async)
		stop := w.startWork(1)
		w.until("Hub.Work warns", func() bool { return said("worker") }, lines)
		w.until("the workers have started", func() bool { return len(w.jobStates()) > 0 }, lines)
		stop()
		w.hub = own
		w.work()
		w.untilJobs("completed 1")
	})
}

// TestUnworkedWithoutRights: an app's role need not see the queues.
func TestUnworkedWithoutRights(t *testing.T) {
	eachOf(t, func(w *world) {
		w.leaveAnOldJob()
		var grant func(...string)
		w.dsn, grant = w.role()
		grant("GRANT INSERT, SELECT ON river_job TO $app", "GRANT USAGE ON SEQUENCE river_job_id_seq TO $app", "GRANT SELECT ON river_migration TO $app")
		names, err := river.New(w.river).Unworked(ctx, dbtest.Open(w, w.e.Driver, w.dsn), w.e.Dialect)
		if len(names) > 0 || err != nil {
			t.Errorf("%v, %v", names, err)
		}
		w.start(forward.Async, forward.RelayElsewhere)
	}, dbtest.PostgresEngines()...)
}
