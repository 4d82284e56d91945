package river_test

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/river"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// captured is a world whose orders are captured, and whose jobs deliver to a timeline and to the sink. What bob does is
// filtered out of the timeline.
type captured struct {
	*world
	rows *changes.Store
}

func withCaptured(t *testing.T, f func(w *captured)) {
	t.Helper()
	eachOf(t, func(w *world) {
		c := &captured{w, changes.NewStore(w.bare, w.e.Dialect, nil)}
		installer := capture.NewInstaller(w.bare, w.e.Dialect, nil)
		w.must(installer.Migrate(ctx))
		plan, err := installer.Plan(ctx, capture.Table{Name: "orders"})
		w.must(err)
		w.must(installer.Apply(ctx, plan))
		w.hub = forward.New(&forward.Options{Logger: zap.NewNop(), Relay: forward.RelayElsewhere, Queue: river.New(w.river)})
		w.hub.Register(threadline.NewForwarder(nil), forward.Async, forward.Filter(func(e journal.Entry) bool { return e.Actor.ID != "bob" }))
		w.hub.Register(w.sink, forward.Async)
		name := dbtest.Name(w.e.Driver)
		driver.Register(name, w.e.Driver, w.hub)
		w.db = dbtest.Open(w, name, w.dsn)
		f(c)
	}, dbtest.PostgresEngines()[0])
}

// by places an order as a user.
func (w *captured) by(user string, id int) {
	w.Helper()
	tx := w.begin()
	w.must(tx.ExecContext(ctx, "INSERT INTO orders (id) VALUES ($1)", id))
	w.must(hooks.Record(hooks.WithActor(ctx, hooks.Actor{Type: hooks.User, ID: user}), tx, hooks.Event{Action: "order.placed"}))
	w.must(tx.Commit())
}

func (w *captured) wantBy(order string, state changes.State, want string) {
	w.Helper()
	history, err := w.rows.History(ctx, "orders", order)
	w.must(err)
	if by := history[0].By; by.State != state || !strings.Contains(by.String(), want) {
		w.Errorf("order %s: %s: %s; want %s: %s", order, by.State, by, state, want)
	}
}

func (w *captured) follow(cursor string) (keys, next string) {
	w.Helper()
	page, err := w.rows.Page(ctx, changes.Query{OldestFirst: true, ActorID: "alice", Cursor: cursor})
	w.must(err)
	for _, c := range page.Changes {
		keys += c.Key[0]
	}
	return keys, page.Next + page.Follow
}

// TestQueuedIsPending: events whose job is not done are on their way to the timeline, and a follower does not pass their
// changes; what a job has not brought there is not.
func TestQueuedIsPending(t *testing.T) {
	withCaptured(t, func(w *captured) {
		w.by("alice", 1)
		w.by("carol", 2)
		w.must(w.bare.ExecContext(ctx, "UPDATE river_job SET state = 'cancelled', finalized_at = now() WHERE id = (SELECT max(id) FROM river_job WHERE args ->> 'forwarder' LIKE 'threadline%')"))
		w.must(w.bare.ExecContext(ctx, "INSERT INTO orders (id) VALUES (3)"))
		w.by("bob", 4)
		w.wantBy("1", changes.Pending, "not yet delivered")
		w.wantBy("2", changes.Unknown, "they became dead letters")
		w.wantBy("3", changes.NoEvent, "no event")
		w.wantBy("4", changes.Pending, "not yet delivered")
		keys, next := w.follow("")
		if keys != "" || next == "" {
			w.Errorf("before its job is done a follower gets %q, and goes on at %q", keys, next)
		}
		w.work()
		w.untilJobs("completed 1, completed 1, cancelled 0, completed 1, completed 1, completed 1")
		w.wantBy("1", changes.Recorded, "user:alice")
		w.wantBy("4", changes.Unknown, "a filter has left them out")
		if keys, _ = w.follow(next); keys != "1" {
			w.Errorf("when its job is done the follower gets %q", keys)
		}

		// A forwarder of another name may be the timeline's, of what has no job of the timeline's own.
		w.must(w.bare.ExecContext(ctx, "UPDATE river_job SET state = 'retryable', finalized_at = NULL WHERE id = (SELECT max(id) FROM river_job WHERE args ->> 'forwarder' NOT LIKE 'threadline%')"))
		w.wantBy("4", changes.Unknown, "a filter has left them out")
		w.must(w.bare.ExecContext(ctx, "DELETE FROM river_job WHERE id = (SELECT max(id) FROM river_job WHERE args ->> 'forwarder' LIKE 'threadline%')"))
		w.wantBy("4", changes.Pending, "not yet delivered")
	})
}

// TestQueuedInPart: of a transaction in several parts, one of which a job has yet to deliver, it is not known who made it all.
func TestQueuedInPart(t *testing.T) {
	withCaptured(t, func(w *captured) {
		w.work()
		tx := w.begin()
		for i, user := range []string{"alice", "carol"} {
			w.must(tx.ExecContext(ctx, "INSERT INTO orders (id) VALUES ($1)", i))
			w.must(hooks.Record(hooks.WithActor(ctx, hooks.Actor{Type: hooks.User, ID: user}), tx, hooks.Event{Action: "order.placed"}))
			w.must(tx.ExecContext(ctx, "SAVEPOINT s; RELEASE s"))
		}
		w.must(tx.Commit())
		w.untilJobs("completed 1, completed 1, completed 1, completed 1")
		w.wantBy("1", changes.Recorded, "user:")
		w.must(w.bare.ExecContext(ctx, "DELETE FROM threadline.audit_contexts WHERE actor_id = 'carol'"))
		w.wantBy("1", changes.Recorded, "user:alice")
		w.must(w.bare.ExecContext(ctx, "UPDATE river_job SET state = 'retryable', finalized_at = NULL WHERE id = (SELECT max(id) FROM river_job WHERE args ->> 'forwarder' LIKE 'threadline%')"))
		w.wantBy("1", changes.Pending, "user:alice (some of its events are not yet delivered)")
	})
}

// TestQueueOutOfSight: a role that may not read the jobs is not told that nothing is on its way, unless the relay delivers.
func TestQueueOutOfSight(t *testing.T) {
	withCaptured(t, func(w *captured) {
		w.by("bob", 1)
		w.must(w.bare.ExecContext(ctx, "UPDATE river_job SET state = 'completed', finalized_at = now()"))
		role := `"` + dbtest.Name("reader") + `"`
		for _, q := range []string{"CREATE ROLE " + role, "GRANT USAGE ON SCHEMA threadline, aftercommit TO " + role, "GRANT SELECT ON ALL TABLES IN SCHEMA threadline, aftercommit TO " + role} {
			w.must(w.bare.ExecContext(ctx, q))
		}
		w.bare.SetMaxOpenConns(1)
		defer func() {
			for _, q := range []string{"RESET ROLE", "DROP OWNED BY " + role, "DROP ROLE " + role} {
				w.must(w.bare.ExecContext(ctx, q))
			}
		}()
		as := func(state changes.State, want string) {
			w.Helper()
			w.must(w.bare.ExecContext(ctx, "SET ROLE "+role))
			w.wantBy("1", state, want)
			w.must(w.bare.ExecContext(ctx, "RESET ROLE"))
		}
		as(changes.Pending, "this role may not read river_job")
		w.must(w.bare.ExecContext(ctx, "INSERT INTO aftercommit.cursors (name, place, done) SELECT 'threadline.Forwarder/default', pg_catalog.concat(i.system_identifier, '/1'), pg_current_snapshot() FROM pg_control_system() i"))
		as(changes.Unknown, "a filter has left them out")
		w.must(w.bare.ExecContext(ctx, "DELETE FROM aftercommit.cursors"))
		w.must(w.bare.ExecContext(ctx, "GRANT SELECT ON river_job TO "+role))
		as(changes.Unknown, "a filter has left them out")
	})
}

// TestQueuedIsPlanned: whether a job is done is read by an index, however many other jobs there are.
func TestQueuedIsPlanned(t *testing.T) {
	withCaptured(t, func(w *captured) {
		w.by("alice", 1)
		w.must(w.bare.ExecContext(ctx, `INSERT INTO river_job (kind, args, queue, max_attempts, state, finalized_at)
			SELECT 'aftercommit_forward', jsonb_build_object('forwarder', 'threadline.Forwarder/default', 'key', gen_random_uuid()), 'q', 1, 'completed', now() FROM generate_series(1, 20000)`))
		read := func() (n int) {
			w.must(w.bare.QueryRowContext(ctx, "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'river_job'").Scan(&n))
			return n
		}
		before := read()
		asker := dbtest.Open(w, "postgres", w.dsn+" application_name=asker")
		w.rows = changes.NewStore(asker, w.e.Dialect, nil)
		w.wantBy("1", changes.Pending, "not yet delivered")
		w.must(asker.Close()) // what a session has read is counted when it ends
		left := 1
		for until := time.Now().Add(dbtest.Patience); left > 0; {
			w.must(w.bare.QueryRowContext(ctx, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'asker'").Scan(&left))
			if time.Now().After(until) {
				w.Fatal("the session that asked does not end")
			}
		}
		if scanned := read() - before; scanned > 0 {
			w.Errorf("%d jobs are read one after the other", scanned)
		}
	})
}
