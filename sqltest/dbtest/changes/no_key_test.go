package changes_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// askKey asks every question that has a key, and returns the errors by the questions.
func (w *world) askKey(table string, key ...string) map[string]error {
	w.Helper()
	errs := w.byKey(w.moment(), table, key...)
	_, errs["a follower"] = w.store.Page(ctx, changes.Query{Tables: []string{table}, Key: key, OldestFirst: true})
	timeline := threadline.NewStore(w.db, w.store.Dialect(), nil)
	w.must(timeline.Migrate(ctx))
	_, errs["trail"] = trail.NewReader(timeline, w.store).Page(ctx, trail.Query{Tables: []string{table}, Key: key})
	return errs
}

// TestNoKey: asked for a row of a table without a key, each question says that there is no key, and what to do. None says that the row never changed.
func TestNoKey(t *testing.T) {
	both(t, func(w *world) {
		w.exec("CREATE TABLE t (a integer, b text)", "CREATE TABLE keyed (id integer NOT NULL PRIMARY KEY)")
		w.capture(capture.Table{Name: "t"}, capture.Table{Name: "keyed"})
		w.exec("INSERT INTO t VALUES (1, 'a')", "INSERT INTO keyed VALUES (1)")
		for question, err := range w.askKey("t", "1") {
			if !errors.Is(err, changes.ErrNoKey) || !strings.Contains(err.Error(), "unique index over NOT NULL columns") {
				t.Errorf("%s: %v", question, err)
			}
		}
		var rows []error
		for row, err := range w.store.TableAsOf(ctx, "t", w.moment()) {
			if rows = append(rows, err); row != nil {
				t.Errorf("the table has %s", row)
			}
		}
		if len(rows) != 1 || !errors.Is(rows[0], changes.ErrNoKey) {
			t.Errorf("the table: %v", rows)
		}
		both := changes.Query{Tables: []string{"t", "keyed"}, Key: []string{"1"}}
		if page, err := w.store.Page(ctx, both); err != nil || len(page.Changes) != 1 {
			t.Errorf("a key of one of two tables: %v, %v", page, err)
		}
		without := changes.Query{Tables: []string{"t"}, Not: []changes.Query{{Tables: []string{"t"}, Key: []string{"1"}}}}
		if page, err := w.store.Page(ctx, without); err != nil || len(page.Changes) != 1 {
			t.Errorf("all but a key: %v, %v", page, err)
		}
	})
}

// TestKeyOnce: of a table that had a key, its changes under that are found, what came later is a break, and another number of values is that of no
// row.
func TestKeyOnce(t *testing.T) {
	both(t, func(w *world) {
		w.exec("CREATE TABLE t (id integer NOT NULL, tenant integer NOT NULL, v text)", "CREATE UNIQUE INDEX i ON t (id, tenant)")
		w.capture(capture.Table{Name: "t", Key: []string{"id", "tenant"}})
		w.exec("INSERT INTO t VALUES (1, 5, 'a')", "DROP INDEX i")
		w.capture(capture.Table{Name: "t"})
		w.exec("UPDATE t SET v = 'b'")
		for question, err := range w.askKey("t", "1") {
			if err == nil || !strings.Contains(err.Error(), "has 2 columns, not 1: id, tenant") {
				t.Errorf("%s of half a key: %v", question, err)
			}
		}
		history, err := w.store.History(ctx, "t", "1", "5")
		if err != nil || len(history) == 0 || history[0].Op != changes.Insert {
			t.Errorf("the history: %v, %v", history, err)
		}
		if row, err := w.store.RowAsOf(ctx, "t", w.moment(), "1", "5"); !errors.Is(err, changes.ErrBroken) {
			t.Errorf("the row is %v, %v", row, err)
		}
		if script, err := undo.RowAsOf(ctx, w.store, "t", history[0].CapturedAt, "1", "5"); err == nil && len(script.Statements) > 0 {
			t.Errorf("the undo is %s", script)
		}
	})
}

// TestNoKeyOfTarget: an action whose target is a table without a key is found by its ID.
func TestNoKeyOfTarget(t *testing.T) {
	withTrail(t, func(w *trailed) {
		w.exec("CREATE TABLE t (a integer)")
		w.capture(capture.Table{Name: "t"})
		w.means("alice", hooks.Event{Action: "t.checked", Target: hooks.Target{Type: "t", ID: "1"}}, "INSERT INTO t VALUES (1)")
		if list := w.each(trail.Query{Tables: []string{"t"}, Key: []string{"1"}}); len(list) != 1 || list[0].Action == nil {
			t.Errorf("the trail is %v", list)
		}
		if _, err := w.reader.Page(ctx, trail.Query{Tables: []string{"t"}, Key: []string{"2"}}); !errors.Is(err, changes.ErrNoKey) {
			t.Errorf("the trail of what nothing has: %v", err)
		}
	})
}
