package river_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/forward/river"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// relayUntil runs Hub.Relay of a Hub without a Queue, until the forwarder is not behind.
func (w *world) relayUntil(store *relay.Store) {
	w.Helper()
	c, cancel := context.WithCancel(ctx)
	hub := forward.New(&forward.Options{Logger: zap.NewNop()})
	hub.Register(w.sink, forward.Async)
	db := dbtest.Open(w, w.e.Driver, w.dsn)
	if w.e.Dialect == hooks.SQLite {
		db.SetMaxOpenConns(1)
	}
	done := make(chan error, 1)
	go func() { done <- hub.Relay(c, db, w.e.Dialect) }()
	w.until("the relay is not behind", func() bool { return w.state(store).Behind == 0 }, func() string { return fmt.Sprintf("%+v", w.state(store)) })
	cancel()
	w.must(<-done)
}

func (w *world) state(store *relay.Store) relay.State {
	w.Helper()
	states, err := store.States(ctx, w.bare)
	w.must(err)
	if len(states) != 1 {
		w.Fatalf("states: %+v", states)
	}
	return states[0]
}

// deliveredOnce checks that the sink has had each of these events once, in any order.
func (w *world) deliveredOnce(want ...string) {
	w.Helper()
	got := strings.Fields(strings.ReplaceAll(w.sink.calls(), ",", ""))
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.Errorf("delivered %v, want %v", got, want)
	}
}

// app starts an app, and leaves it to the test which one w.db is.
func (w *world) app(o forward.Options) (db *sql.DB, moved func() []observer.LoggedEntry) {
	w.Helper()
	core, logs := observer.New(zap.WarnLevel)
	o.Logger = zap.New(core)
	w.must(w.open(&o, forward.Async))
	return w.db, func() []observer.LoggedEntry { return logs.FilterMessageSnippet("both the relay and the Queue").All() }
}

// settled returns how many events are noted as delivered by others.
func (w *world) settled() (n int) {
	w.Helper()
	table := "aftercommit.acknowledged"
	if w.e.Dialect == hooks.SQLite {
		table = "aftercommit_acknowledged"
	}
	w.must(w.bare.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&n))
	return n
}

// TestMoveToRiver: while programs with the relay and with River run side by side, and if the
// relay then delivers what has no job, as the warning says, each event is delivered once.
func TestMoveToRiver(t *testing.T) {
	each(t, func(w *world) { w.moveToRiver(func() {}, func() {}) })
}

// TestMoveToRiverWithoutRights: the same for an app with the grants of the README's Roles.
func TestMoveToRiverWithoutRights(t *testing.T) {
	eachOf(t, func(w *world) {
		owner := w.dsn
		app, grant := w.role()
		grant("GRANT INSERT, SELECT ON river_job TO $app", "GRANT USAGE ON SEQUENCE river_job_id_seq TO $app", "GRANT SELECT ON river_migration TO $app")
		w.moveToRiver(func() { w.dsn = app }, func() { w.dsn = owner })
	}, dbtest.PostgresEngines()...)
}

func (w *world) moveToRiver(asApp, asOwner func()) {
	w.Helper()
	store, err := relay.New(w.e.Dialect, nil)
	w.must(err)
	asApp()
	old, _ := w.app(forward.Options{Relay: forward.RelayElsewhere})
	w.commit(1)
	withRiver, moved := w.app(forward.Options{Relay: forward.RelayElsewhere, Queue: river.New(w.river)})
	w.commit(2) // in River's
	if all := moved(); len(all) != 1 || !strings.Contains(all[0].Message, "leaves out what has a job") {
		w.Errorf("warnings: %+v", all)
	}
	w.db = old
	w.commit(3)
	w.db = withRiver
	tx := w.begin()
	w.place(tx, 4)
	w.must(tx.ExecContext(ctx, "SAVEPOINT s"))
	w.place(tx, 5)
	w.must(tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT s"))
	w.must(tx.Commit())
	tx = w.begin()
	w.place(tx, 6)
	w.must(tx.Rollback())
	asOwner()
	w.relayUntil(store)
	w.deliveredOnce("1", "3")
	w.commit(7)
	w.db = old // it is the last to stop
	w.commit(8)
	w.must(old.Close())
	w.relayUntil(store)
	w.deliveredOnce("1", "3", "8")
	w.must(store.Retire(ctx, w.bare, forwarder))
	w.db = withRiver
	w.commit(9)
	w.commit(10)
	if n := w.settled(); n != 0 {
		w.Errorf("%d events are still noted", n)
	}
	w.work() // of the app with River, which is w.hub
	w.untilJobs(strings.TrimSuffix(strings.Repeat("completed 1, ", 5), ", "))
	w.deliveredOnce("1", "2", "3", "4", "7", "8", "9", "10")
	w.must(withRiver.Close())

	asApp()
	again, moved := w.app(forward.Options{Relay: forward.RelayElsewhere, Queue: river.New(w.river)})
	if all := moved(); len(all) != 0 {
		w.Errorf("warned after it was retired: %+v", all)
	}
	w.must(again.Close())
	asOwner()
}

// TestMoveFromRiver: jobs that wait when programs go back to the relay are not the relay's,
// which is logged once the forwarder is registered there. Hub.Work delivers them, as
// documented.
func TestMoveFromRiver(t *testing.T) {
	each(t, func(w *world) {
		withRiver, _ := w.app(forward.Options{Relay: forward.RelayElsewhere, Queue: river.New(w.river)})
		w.commit(1)
		w.commit(2)
		w.must(withRiver.Close())
		queued := w.hub

		dispatch := forward.Async
		if w.e.Dialect == hooks.SQLite {
			dispatch = forward.Auto // there is no relay beside an app
		}
		core, logs := observer.New(zap.InfoLevel)
		w.must(w.open(&forward.Options{Logger: zap.New(core)}, dispatch))
		if w.e.Dialect == hooks.SQLite {
			tx := w.begin()
			w.place(tx, 3)
			w.must(tx.ExecContext(ctx, "SELECT 1; ROLLBACK")) // before which all is written
			_ = tx.Rollback()
			w.saysNew(logs, 0)
		}
		w.commit(3)
		w.must(w.hub.Drain(ctx))
		w.deliveredOnce("3")
		w.saysNew(logs, 1)
		w.commit(4)
		w.must(w.hub.Drain(ctx))
		w.saysNew(logs, 1)
		w.must(w.db.Close())
		w.behind(2, 0, 0)
		w.hub = queued
		w.work()
		w.untilJobs("completed 1, completed 1")
		w.deliveredOnce("1", "2", "3", "4")
		w.behind(0, 0, 0)
	})
}

// saysNew checks how many lines say that the forwarder is new to the relay.
func (w *world) saysNew(logs *observer.ObservedLogs, want int) {
	w.Helper()
	lines := logs.FilterMessageSnippet("call Hub.Work of a Hub with Options.Queue").All()
	if len(lines) != want || want > 0 && lines[0].ContextMap()["forwarder"] != forwarder {
		w.Errorf("lines: %+v, want %d", lines, want)
	}
}

// TestMoveFromRiverWithoutRights: an app that may only announce its forwarder says so, too,
// the first time.
func TestMoveFromRiverWithoutRights(t *testing.T) {
	eachOf(t, func(w *world) {
		w.dsn, _ = w.role()
		for _, want := range []int{1, 0} {
			core, logs := observer.New(zap.InfoLevel)
			w.must(w.open(&forward.Options{Logger: zap.New(core), Relay: forward.RelayElsewhere}, forward.Async))
			w.must(w.db.Close())
			w.saysNew(logs, want)
		}
	}, dbtest.PostgresEngines()...)
}

// TestWorkWarnsOfMove: Hub.Work warns of what the relay still has to deliver, with its
// number, which the role of an app cannot see. What has a job is not counted.
func TestWorkWarnsOfMove(t *testing.T) {
	each(t, func(w *world) {
		old, _ := w.app(forward.Options{Relay: forward.RelayElsewhere})
		w.commit(1)
		w.commit(2)
		w.must(old.Close())
		_, moved := w.app(forward.Options{Relay: forward.RelayElsewhere, Queue: river.New(w.river)})
		w.commit(3)
		w.must(w.db.Close())
		seen := len(moved())
		warns := func(behind int64, what string) {
			t.Helper()
			stop := w.startWork(1)
			w.until("Hub.Work warns", func() bool { return len(moved()) > seen }, func() string { return fmt.Sprintf("%+v", moved()) })
			w.until("the workers have started", func() bool { return len(w.jobStates()) > 0 }, func() string { return "no status" })
			stop()
			line := moved()[seen]
			seen = len(moved())
			if line.ContextMap()["driver"] != "worker" || line.ContextMap()["forwarder"] != forwarder || line.ContextMap()["behind"] != behind ||
				!strings.Contains(line.Message, "Retire") || !strings.Contains(line.Message, what) {
				t.Errorf("line: %+v, want %d, %q", line, behind, what)
			}
		}
		warns(2, "still has to deliver what else was committed before")
		store, err := relay.New(w.e.Dialect, nil)
		w.must(err)
		queued := w.hub
		w.relayUntil(store)
		w.hub = queued
		warns(0, "has nothing else to deliver now")
	})
}
