package changes_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestSQLiteStory: a transaction is told as on PostgreSQL, but for what triggers and foreign keys did, which does not show, and
// with the rows that REPLACE has removed. Its start may be that of its changes or of its events.
func TestSQLiteStory(t *testing.T) {
	eachAppOn(t, []dbtest.Engine{dbtest.SQLite}, func(w *world, open func(forward.Options, bool) *app) {
		w.exec("CREATE TABLE lines (id INTEGER PRIMARY KEY, t int)", "CREATE TABLE log (n INTEGER PRIMARY KEY)", "CREATE TABLE notes (id INTEGER PRIMARY KEY)", "CREATE TABLE codes (id INTEGER PRIMARY KEY, code UNIQUE)",
			"CREATE TRIGGER gone AFTER DELETE ON t BEGIN DELETE FROM lines WHERE t = OLD.id; INSERT INTO log VALUES (1); END",
			"INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)", "INSERT INTO lines VALUES (10, 2), (11, 2)", "INSERT INTO codes VALUES (1, 'a'), (2, 'b')")
		w.capture(capture.Table{Name: "t"}, capture.Table{Name: "lines"}, capture.Table{Name: "log"}, capture.Table{Name: "codes"})
		a := open(forward.Options{}, true)
		tx, err := a.db.BeginTx(ctx, nil)
		w.must(err)
		w.must(hooks.Record(user("alice"), tx, hooks.Event{Action: "order.refunded", Target: hooks.Target{Type: "order", ID: "1"}, Reason: "damaged"}))
		for _, s := range []struct{ by, query string }{
			{"alice", "UPDATE t SET a = 9 WHERE id = 1"},
			{"bob", `UPDATE "T" SET a = 8 WHERE id = 1`},
			{"alice", "UPDATE t SET a = a WHERE id = 3"},
			{"alice", "DELETE FROM t WHERE id = 2"},
			{"alice", "INSERT INTO notes VALUES (1)"},
			{"alice", "REPLACE INTO codes VALUES (3, 'a')"},
			{"bob", "INSERT OR REPLACE INTO codes VALUES (4, 'a')"},
		} {
			_, err = tx.ExecContext(user(s.by), s.query)
			w.must(err)
		}
		w.must(tx.Commit())
		history, err := w.store.History(ctx, "t", "1")
		w.must(err)
		last := history[len(history)-1]
		timeline := threadline.NewStore(w.db, hooks.SQLite, nil)
		key := journal.TxKey{ID: last.XID, StartedAt: last.TxStartedAt}
		story, err := timeline.Story(ctx, w.store, key)
		w.must(err)
		want := []string{
			"  alice order.refunded order:1: damaged",
			"  alice t.updated t:1", "    update t [1]: a: 1 → 9",
			"  bob t.updated t:1", "    update t [1]: a: 9 → 8",
			"  alice t.updated t:3",
			"  alice t.deleted t:2", "    delete t [2]: id: 2; a: 2",
			"  alice notes.inserted notes",
			"  alice codes.upserted codes", "    delete codes [1]: id: 1; code: a", "    insert codes [3]: code: a",
			"  bob codes.upserted codes", "    delete codes [3]: id: 3; code: a", "    insert codes [4]: code: a",
			"  by statements without an event, triggers or foreign keys", "    delete lines [10]: id: 10; t: 2", "    delete lines [11]: id: 11; t: 2", "    insert log [1]",
			"  t.updated: 1 row, 0 changes: 1 row got the values that they had, in all columns that are captured",
			"  notes.inserted: 1 row, 0 changes: the row changes of notes are not captured",
		}
		if got := untimed(story); got != strings.Join(want, "\n") {
			w.Errorf("the story is\n%s\nwant\n%s", got, strings.Join(want, "\n"))
		}
		if by := story.By; by == nil || len(by.Actors()) != 2 {
			w.Errorf("it is by %s", by)
		}
		key.StartedAt = story.Recorded[0].Tx.StartedAt
		again, err := timeline.Story(ctx, w.store, key)
		w.must(err)
		if len(again.Statements) != len(story.Statements) || len(again.Unseen) != len(story.Unseen) {
			w.Errorf("by the start that its events have, the story is\n%s", again)
		}
		if got := w.all(changes.Query{XID: key.ID, TxStartedAt: key.StartedAt, Tables: []string{"t"}}); len(got) != 3 {
			w.Errorf("by the start that its events have, there are %d changes of t", len(got))
		}
	})
}

// TestSQLiteStoryWithoutTimeline: before the first event there are no tables of the timeline.
func TestSQLiteStoryWithoutTimeline(t *testing.T) {
	w := lite(t)
	w.exec("CREATE TABLE t (id INTEGER PRIMARY KEY)")
	w.capture(capture.Table{Name: "t"})
	w.exec("UPDATE aftercommit_transaction SET tx_id = 7", "INSERT INTO t VALUES (1)", "UPDATE aftercommit_transaction SET tx_id = NULL")
	change := w.page(changes.Query{}).Changes[0]
	story, err := threadline.NewStore(w.db, hooks.SQLite, nil).Story(ctx, w.store, journal.TxKey{ID: 7, StartedAt: change.TxStartedAt})
	w.must(err)
	if len(story.Unseen) != 1 || len(story.Statements) > 0 {
		w.Error(story)
	}
}
