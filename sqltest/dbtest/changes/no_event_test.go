package changes_test

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// purge retires all forwarders and deletes all of the journal.
func (w *world) purge() {
	w.Helper()
	r, err := relay.New(hooks.Postgres, nil)
	w.must(err)
	states, err := r.States(ctx, w.db)
	w.must(err)
	for _, s := range states {
		if !s.RetiredAt.IsZero() {
			continue
		}
		w.must(r.Retire(ctx, w.db, s.Forwarder))
	}
	p, err := r.Purge(ctx, w.db, relay.PurgeOptions{Before: time.Now().Add(time.Hour), By: "a test"})
	w.must(err)
	if p.Events == 0 || p.Kept > 0 {
		w.Fatalf("%+v", p)
	}
}

// filtered runs f on one driver, with an app whose timeline leaves out what keep does not choose.
func filtered(t *testing.T, keep func(journal.Entry) bool, f func(w *world, a *app)) {
	t.Helper()
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"})
		hub := forward.New(&forward.Options{Logger: zap.NewNop(), Relay: forward.RelayElsewhere})
		var opts []forward.RegisterOption
		if keep != nil {
			opts = append(opts, forward.Filter(keep))
		}
		hub.Register(threadline.NewForwarder(nil), forward.Sync, opts...)
		name := dbtest.Name("postgres")
		dbtest.PQ.Register(name, hub, driver.Capture(driver.AllTables()))
		a := &app{w, dbtest.Open(t, name, w.dsn)}
		w.must(a.db.PingContext(ctx)) // which makes the tables
		f(w, a)
	}, dbtest.PQ)
}

func (w *world) wantUnknown(key, why string) {
	w.Helper()
	w.wantBy(key, changes.Unknown, why)
}

// TestNoEvent: a transaction of which a filter has left out all events is never one without events, before and
// after the purge of the journal, and one without is.
func TestNoEvent(t *testing.T) {
	keep := func(e journal.Entry) bool { return e.Actor.ID != "alice" }
	filtered(t, keep, func(w *world, a *app) {
		a.tx([]string{"bob"}, "INSERT INTO t VALUES (1, 1)")
		a.tx([]string{"alice"}, "INSERT INTO t VALUES (2, 1)")
		w.exec("INSERT INTO t VALUES (3, 1)")
		a.tx([]string{"bob"}, "INSERT INTO t VALUES (4, 1)")
		w.wantBy("2", changes.Pending, "not yet delivered")
		w.exec("UPDATE aftercommit.cursors SET done = pg_current_snapshot()") // as the relay does
		w.wantUnknown("2", "a filter has left them out, or they became dead letters")
		w.wantBy("3", changes.NoEvent, "no event")
		w.purge()
		w.wantUnknown("2", "it had events, and the timeline has none of them")
		w.wantBy("1", changes.Recorded, "user:bob")
		w.wantBy("3", changes.NoEvent, "no event")
		w.wantBy("4", changes.Recorded, "user:bob")
	})
}

// TestNoEventWhileRetried: what a forwarder has passed and tries again is on its way, and what no forwarder is there for is
// not.
func TestNoEventWhileRetried(t *testing.T) {
	filtered(t, func(e journal.Entry) bool { return e.Actor.ID != "alice" }, func(w *world, a *app) {
		a.tx([]string{"alice"}, "INSERT INTO t VALUES (1, 1)")
		w.exec("UPDATE aftercommit.cursors SET done = pg_current_snapshot()",
			`INSERT INTO aftercommit.retries (forwarder, key, ordinal, state, attempts, next_at, reason, error, first_at, last_at)
				SELECT u.name, j.key, 0, 'retrying', 1, now(), 'error', '', now(), now() FROM aftercommit.journal j, aftercommit.cursors u WHERE j.events > 0`)
		w.wantBy("1", changes.Pending, "not yet delivered")
		w.exec("UPDATE aftercommit.retries SET state = 'discarded'")
		w.wantUnknown("1", "they became dead letters")
		w.exec("UPDATE aftercommit.cursors SET done = '1:1:'")
		w.wantBy("1", changes.Pending, "not yet delivered")
		w.exec("UPDATE aftercommit.cursors SET retired_at = now()")
		w.wantUnknown("1", "they became dead letters")
	})
}

// TestPendingForTheTimelineOnly: only what delivers to the timeline says whether events are on their way, as far as it is
// there under its own name.
func TestPendingForTheTimelineOnly(t *testing.T) {
	filtered(t, func(e journal.Entry) bool { return e.Actor.ID != "alice" }, func(w *world, a *app) {
		a.tx([]string{"alice"}, "INSERT INTO t VALUES (1, 1)")
		w.exec("INSERT INTO aftercommit.cursors (name, place, done) SELECT 'webhook.Forwarder/default', place, '1:1:' FROM aftercommit.cursors")
		w.wantBy("1", changes.Pending, "not yet delivered")
		w.exec("UPDATE aftercommit.cursors SET done = pg_current_snapshot() WHERE name LIKE 'threadline%'",
			`INSERT INTO aftercommit.retries (forwarder, key, ordinal, state, attempts, next_at, reason, error, first_at, last_at)
				SELECT 'webhook.Forwarder/default', j.key, 0, 'retrying', 1, now(), 'error', '', now(), now() FROM aftercommit.journal j WHERE j.events > 0`)
		w.wantUnknown("1", "a filter has left them out, or they became dead letters")
		w.exec("UPDATE aftercommit.cursors SET retired_at = now() WHERE name LIKE 'threadline%'") // one that has another name may deliver to it
		w.wantBy("1", changes.Pending, "not yet delivered")
	})
}

// TestCursorOfAnotherPlace: a cursor that is left from before a restore has passed nothing of what was made here.
func TestCursorOfAnotherPlace(t *testing.T) {
	filtered(t, func(e journal.Entry) bool { return e.Actor.ID != "alice" }, func(w *world, a *app) {
		a.tx([]string{"alice"}, "INSERT INTO t VALUES (1, 1)")
		a.tx([]string{"alice"}, "INSERT INTO t VALUES (2, 1)")
		w.exec("UPDATE threadline.audit_changes SET system = 1 WHERE key = '(1)'") // made there, as the journal says, too
		const original = "UPDATE aftercommit.cursors SET place = '1/1', done = '1000000000:1000000000:'"
		w.exec("UPDATE aftercommit.cursors SET place = place || ' staging', done = pg_current_snapshot()")
		w.wantUnknown("2", "a filter has left them out, or they became dead letters")
		w.exec(original)
		w.wantUnknown("1", "a filter has left them out, or they became dead letters")
		w.wantBy("2", changes.Pending, "not yet delivered")
		if page := w.page(changes.Query{OldestFirst: true, ActorID: "bob"}); page.Follow == "" || len(page.Changes) > 0 {
			w.Errorf("%+v", page)
		}
	})
}

// TestNoEventWithTwoJournals: what one journal does not have may be in another one of the database.
func TestNoEventWithTwoJournals(t *testing.T) {
	filtered(t, nil, func(w *world, a *app) {
		w.exec("CREATE SCHEMA app", "CREATE TABLE app.journal (id int)", "CREATE TABLE app.cursors (id int)") // of the app's
		w.exec("INSERT INTO t VALUES (1, 1)")
		w.wantBy("1", changes.NoEvent, "no event")
		hub := forward.New(&forward.Options{Logger: zap.NewNop(), Relay: forward.RelayElsewhere, Journal: &journal.Options{Schema: "other"}})
		hub.Register(threadline.NewForwarder(&threadline.ForwarderOptions{Options: threadline.Options{Schema: "other_timeline"}}), forward.Sync)
		name := dbtest.Name("postgres")
		dbtest.PQ.Register(name, hub, driver.Capture(driver.AllTables()))
		other := &app{w, dbtest.Open(t, name, w.dsn)}
		other.tx([]string{"alice"}, "INSERT INTO t VALUES (2, 1)")
		w.wantUnknown("2", "another journal")
		a.tx([]string{"bob"}, "INSERT INTO t VALUES (3, 1)")
		w.wantBy("3", changes.Recorded, "user:bob")
		w.exec("DROP SCHEMA other CASCADE", "CREATE SCHEMA older", "CREATE TABLE older.audit_events (id int)", "CREATE TABLE older.forwarders (id int)", "CREATE TABLE older.schema_versions (id int)")
		w.wantUnknown("1", "another journal")
	})
}

// TestPurgeOfTheOriginal: what a purge has deleted before a transaction began was not its, whatever numbers
// transactions had in the database that this one was restored from.
func TestPurgeOfTheOriginal(t *testing.T) {
	filtered(t, nil, func(w *world, a *app) {
		a.tx([]string{"bob"}, "INSERT INTO t VALUES (1, 1)")
		w.purge()
		w.exec("INSERT INTO t VALUES (2, 1)",
			"UPDATE aftercommit.journal_purges SET transactions = ARRAY(SELECT xid::text::bigint FROM threadline.audit_changes WHERE key = '(2)')")
		w.wantBy("2", changes.NoEvent, "no event")
	})
}

// TestWhoIsPartlyDelivered: of a transaction some events of which are on their way it is not known who made it all.
func TestWhoIsPartlyDelivered(t *testing.T) {
	filtered(t, nil, func(w *world, a *app) {
		a.tx([]string{"alice", "bob"}, "INSERT INTO t VALUES (1, 1)", "UPDATE t SET a = 2 WHERE id = 1")
		w.wantBy("1", changes.Recorded, "user:bob")
		w.exec("DELETE FROM threadline.audit_contexts WHERE actor_id = 'bob'", "UPDATE aftercommit.cursors SET done = '1:1:'")
		w.wantBy("1", changes.Pending, "user:alice (some of its events are not yet delivered)")
		if page := w.page(changes.Query{OldestFirst: true, ActorID: "bob"}); len(page.Changes) != 0 || page.Follow == "" {
			w.Errorf("%+v", page)
		}
		w.exec("UPDATE aftercommit.cursors SET done = pg_current_snapshot()")
		w.wantBy("1", changes.Recorded, "user:alice")
	})
}

// TestPurgeWithoutList: a purge by a program that writes down no transactions leaves nothing certain that had
// begun by then.
func TestPurgeWithoutList(t *testing.T) {
	for name, before := range map[string]string{
		"no list":   "UPDATE aftercommit.journal_purges SET transactions = NULL, before = clock_timestamp()",
		"no column": "UPDATE aftercommit.journal_purges SET before = clock_timestamp(); ALTER TABLE aftercommit.journal_purges DROP COLUMN transactions",
	} {
		t.Run(name, func(t *testing.T) {
			filtered(t, func(e journal.Entry) bool { return e.Actor.ID != "alice" }, func(w *world, a *app) {
				a.tx([]string{"bob"}, "INSERT INTO t VALUES (1, 1)")
				a.tx([]string{"alice"}, "INSERT INTO t VALUES (2, 1)")
				w.exec("INSERT INTO t VALUES (3, 1)")
				w.purge()
				w.exec(before, "INSERT INTO t VALUES (4, 1)")
				w.wantBy("1", changes.Recorded, "user:bob")
				w.wantUnknown("2", "without a list")
				w.wantUnknown("3", "without a list")
				w.wantBy("4", changes.NoEvent, "no event")
				if name == "no column" { // a purge of this program writes none
					a.tx([]string{"alice"}, "INSERT INTO t VALUES (5, 1)")
					w.purge()
					w.wantUnknown("5", "without a list")
				}
			})
		})
	}
}

// TestNoEventWithoutContexts: what a timeline without contexts has recorded, as that of an older version whose
// script was run again, is found by its time; and what is not found there had events all the same.
func TestNoEventWithoutContexts(t *testing.T) {
	filtered(t, nil, func(w *world, a *app) {
		a.tx([]string{"bob"}, "INSERT INTO t VALUES (1, 1)")
		a.tx([]string{"alice", "carol"}, "INSERT INTO t VALUES (2, 1)", "UPDATE t SET a = 2 WHERE id = 2")
		w.exec("INSERT INTO t VALUES (3, 1)", "DELETE FROM threadline.audit_contexts WHERE actor_id <> 'bob'", "DROP INDEX threadline.audit_contexts_actor")
		w.purge()
		w.wantBy("2", changes.Recorded, "user:alice, user:carol")
		if by := w.by("2"); by.Reason != "" || by.Events != 2 || len(by.Contexts) != 2 || by.Contexts[0].CorrelationID != "" || by.First.After(by.Last) || by.Contexts[0].TenantID != "shop" {
			w.Errorf("%+v", by)
		}
		w.wantBy("3", changes.NoEvent, "no event")
		w.exec("UPDATE threadline.audit_actions SET recorded_at = recorded_at + interval '1 day' WHERE actor_id <> 'bob'")
		w.wantUnknown("2", "it had events")
	})
}

// TestOpenWhenTheJournalWasMade: a transaction that was open when the tables of events were made, and which may have been of
// a program that had others, is not without events for certain.
func TestOpenWhenTheJournalWasMade(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"})
		tx, err := w.db.BeginTx(ctx, nil)
		w.must(err)
		defer tx.Rollback()
		_, err = tx.ExecContext(ctx, "INSERT INTO t VALUES (1, 1)")
		w.must(err)
		j, err := journal.New(hooks.Postgres, nil)
		w.must(err)
		w.must(j.Connect(ctx, w.db))
		w.must(threadline.NewStore(w.db, hooks.Postgres, nil).Migrate(ctx))
		_, err = tx.ExecContext(ctx, "INSERT INTO t VALUES (2, 1)")
		w.must(err)
		w.must(tx.Commit())
		w.exec("INSERT INTO t VALUES (3, 1)")
		w.wantUnknown("1", "older than the journal")
		w.wantUnknown("2", "older than the journal")
		w.wantBy("3", changes.NoEvent, "no event")
		w.exec("CREATE TABLE aftercommit.audit_events_before (seq bigint PRIMARY KEY, recorded_at timestamptz)", "INSERT INTO aftercommit.audit_events_before VALUES (1, clock_timestamp())")
		w.wantUnknown("3", "an earlier version")
	}, dbtest.PQ)
}

// TestNoEventInACopy: in a copy of the database, here or in another cluster, where transactions have other numbers,
// the journal says nothing of those of the original; nor of its own until a plan has seen it.
func TestNoEventInACopy(t *testing.T) {
	other := dbtest.Start(t, nil)
	filtered(t, nil, func(w *world, a *app) {
		a.tx([]string{"bob"}, "INSERT INTO t VALUES (1, 1)")
		w.exec("INSERT INTO t VALUES (2, 1)")
		w.wantBy("2", changes.NoEvent, "no event")
		for place, dsn := range map[string]string{"here": dbtest.Postgres(t), "elsewhere": other.Database(t)} {
			r := w.elsewhere(dsn)
			w.dumpTo(r)
			r.exec("INSERT INTO t VALUES (3, 1)")
			r.capture(capture.Table{Name: "t"})
			r.exec("INSERT INTO t VALUES (4, 1)")
			r.wantBy("1", changes.Recorded, "user:bob")
			r.wantUnknown("2", "a copy")
			r.wantUnknown("3", "a copy")
			r.wantBy("4", changes.NoEvent, "no event")
			if w.Failed() {
				w.Fatal(place)
			}
		}
		w.exec("UPDATE threadline.audit_changes SET system = 1 WHERE key = '(2)'") // as data that was restored by itself, after a plan
		w.wantUnknown("2", "a copy")
	})
}

// TestNoEventNeedsRights: a role that may not read all that it takes is not told that there was no event.
func TestNoEventNeedsRights(t *testing.T) {
	filtered(t, nil, func(w *world, a *app) {
		a.tx([]string{"bob"}, "INSERT INTO t VALUES (1, 1)")
		w.exec("INSERT INTO t VALUES (2, 1)")
		role := `"` + dbtest.Name("reader") + `"`
		w.exec("CREATE ROLE "+role, "GRANT USAGE ON SCHEMA threadline, aftercommit TO "+role, "GRANT SELECT ON t, threadline.audit_changes, threadline.audit_shapes TO "+role)
		defer w.exec("RESET ROLE", "DROP OWNED BY "+role, "DROP ROLE "+role)
		w.db.SetMaxOpenConns(1)
		as := func(state changes.State, why string) {
			w.Helper()
			w.exec("SET ROLE " + role)
			w.wantBy("2", state, why)
			w.exec("RESET ROLE")
		}
		for _, table := range []string{"threadline.audit_contexts", "threadline.audit_captures", "aftercommit.journal", "aftercommit.schema_versions", "aftercommit.journal_purges"} {
			as(changes.Unknown, "this role may not read")
			w.exec("GRANT SELECT ON " + table + " TO " + role)
		}
		as(changes.NoEvent, "no event")
		w.exec("CREATE TABLE aftercommit.audit_events_before (seq bigint PRIMARY KEY, recorded_at timestamptz)")
		as(changes.Unknown, "this role may not read")
		w.exec("DROP TABLE aftercommit.audit_events_before")
		w.exec("REVOKE SELECT ON threadline.audit_contexts FROM " + role)
		as(changes.NoEvent, "no event") // the journal knows
		w.exec("SET ROLE " + role)
		w.wantUnknown("1", "in a timeline that cannot be read here")
		w.exec("RESET ROLE")
	})
}

// TestActors: an actor with and without a name is one.
func TestActors(t *testing.T) {
	one := hooks.Actor{Type: hooks.User, ID: "42"}
	with := one
	with.Name = "Ann"
	for _, order := range [][]hooks.Actor{{one, with}, {with, one}} {
		a := changes.Attribution{State: changes.Recorded}
		for _, actor := range append(order, hooks.Actor{Type: hooks.Job, ID: "42"}, hooks.Actor{Type: hooks.User, ID: "42", OnBehalfOf: "7"}, hooks.Actor{}) {
			a.Contexts = append(a.Contexts, changes.Context{Actor: actor})
		}
		if got := a.Actors(); len(got) != 4 || got[0] != with {
			t.Errorf("%+v", got)
		}
		if got := a.String(); strings.Count(got, "user:42,") != 1 {
			t.Error(got)
		}
	}
}
