package changes_test

import (
	"testing"

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

// toldOf returns the world with a store that has these options.
func (w *world) toldOf(o changes.Options) *world {
	to := *w
	to.store = changes.NewStore(w.db, w.e.Dialect, &o)
	return &to
}

// TestNoEventWithJournals: a store asks all journals that its options name.
func TestNoEventWithJournals(t *testing.T) {
	filtered(t, nil, func(w *world, a *app) {
		w.exec("INSERT INTO t VALUES (1, 1)")
		hub := forward.New(&forward.Options{Logger: zap.NewNop(), Relay: forward.RelayElsewhere, Journal: &journal.Options{Schema: "other"}})
		hub.Register(threadline.NewForwarder(&threadline.ForwarderOptions{Options: threadline.Options{Schema: "other_timeline"}}), forward.Sync)
		name := dbtest.Name("postgres")
		dbtest.PQ.Register(name, hub, driver.Capture(driver.AllTables()))
		other := &app{w, dbtest.Open(t, name, w.dsn)}
		other.tx([]string{"alice"}, "INSERT INTO t VALUES (2, 1)")
		a.tx([]string{"bob"}, "INSERT INTO t VALUES (3, 1)")
		w.exec("INSERT INTO t VALUES (4, 1)")

		both := w.toldOf(changes.Options{OtherJournals: []string{"other"}})
		w.wantUnknown("4", "another journal")
		both.wantUnknown("1", "older than the journal") // and may have been of a program that had another one
		both.wantBy("2", changes.Pending, "not yet delivered")
		both.wantBy("3", changes.Recorded, "user:bob")
		both.wantBy("4", changes.NoEvent, "no event")
		w.toldOf(changes.Options{Journal: "other", OtherJournals: []string{"aftercommit"}}).wantBy("4", changes.NoEvent, "no event")
		w.toldOf(changes.Options{OtherJournals: []string{"aftercommit", "other", "other"}}).wantBy("4", changes.NoEvent, "no event") // one list for all apps
		w.toldOf(changes.Options{OtherJournals: []string{"other", "third"}}).wantUnknown("4", "the journal is not in this database")
		w.exec("UPDATE other.cursors SET done = pg_current_snapshot()")
		both.wantUnknown("2", "the timeline did not get")
		r, err := relay.New(hooks.Postgres, &relay.Options{Journal: &journal.Options{Schema: "other"}})
		w.must(err)
		states, err := r.States(ctx, w.db)
		w.must(err)
		w.must(r.Retire(ctx, w.db, states[0].Forwarder))
		_, err = r.Purge(ctx, w.db, relay.PurgeOptions{Before: w.clock(), By: "a test"})
		w.must(err)
		both.wantUnknown("2", "it had events")
		both.wantBy("4", changes.NoEvent, "no event")
		w.exec("UPDATE other.journal_purges SET transactions = NULL")
		both.wantUnknown("4", "without a list")
		w.exec("CREATE TABLE other.purges (before timestamptz)", "INSERT INTO other.purges VALUES (clock_timestamp())", "DELETE FROM other.journal_purges")
		both.wantUnknown("4", "an earlier version")

		role := `"` + dbtest.Name("reader") + `"`
		w.exec("CREATE ROLE "+role, "GRANT USAGE ON SCHEMA threadline, aftercommit TO "+role, "GRANT SELECT ON ALL TABLES IN SCHEMA public, threadline, aftercommit TO "+role)
		defer w.exec("RESET ROLE", "DROP OWNED BY "+role, "DROP ROLE "+role)
		w.db.SetMaxOpenConns(1)
		w.exec("SET ROLE " + role)
		both.wantUnknown("4", "this role may not read")
	})
}

// TestPendingForOneTimeline: if the options name the forwarder of the store's own timeline, events that another forwarder has yet to
// deliver are not pending.
func TestPendingForOneTimeline(t *testing.T) {
	filtered(t, func(e journal.Entry) bool { return e.Actor.ID != "alice" }, func(w *world, a *app) {
		a.tx([]string{"alice"}, "INSERT INTO t VALUES (1, 1)")
		w.exec("UPDATE aftercommit.cursors SET done = pg_current_snapshot()",
			"INSERT INTO aftercommit.cursors (name, place, done) SELECT 'threadline.Forwarder/elsewhere', place, '1:1:' FROM aftercommit.cursors")
		w.wantBy("1", changes.Pending, "not yet delivered")
		w.toldOf(changes.Options{Forwarder: "threadline.Forwarder/default"}).wantUnknown("1", "a filter has left them out")
		w.toldOf(changes.Options{Forwarder: "threadline.Forwarder/elsewhere"}).wantBy("1", changes.Pending, "not yet delivered")
		w.toldOf(changes.Options{Forwarder: "not there"}).wantBy("1", changes.Pending, "not yet delivered")
	})
}

// TestSQLiteJournals: events in another journal that the options name are pending.
func TestSQLiteJournals(t *testing.T) {
	w := lite(t)
	w.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, a int)")
	w.capture(capture.Table{Name: "t"})
	w.must(threadline.NewStore(w.db, hooks.SQLite, nil).Migrate(ctx))
	w.liteInOne(7, "INSERT INTO t VALUES (1, 1)")
	w.exec("CREATE TABLE other_journal (tx_id INTEGER, events INTEGER)", "INSERT INTO other_journal VALUES (7, 1)")
	if by := w.by("1"); by.State != changes.Unknown {
		t.Errorf("%s: %s", by.State, by)
	}
	if by := w.toldOf(changes.Options{OtherJournals: []string{"other"}}).by("1"); by.State != changes.Pending {
		t.Errorf("told of it: %s: %s", by.State, by)
	}
}
