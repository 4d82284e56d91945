package changes_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
)

// rekey makes the tenant a part of the key, and captures the table anew.
func (w *world) rekey() {
	w.Helper()
	w.exec("ALTER TABLE t ADD tenant int NOT NULL DEFAULT 1, DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (id, tenant)")
	w.capture(capture.Table{Name: "t"})
}

// TestRekeyed: migrations that change the key of a table before its first change is captured leave its rows as they would be with this
// key from the beginning.
func TestRekeyed(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, v text)")
		w.capture(capture.Table{Name: "t"})
		w.rekey()
		w.exec("INSERT INTO t VALUES (1, 'a', 5)")
		before := w.moment()
		w.exec("UPDATE t SET v = 'b'")
		if row, err := w.store.RowAsOf(ctx, "t", before, "1", "5"); err != nil || !strings.Contains(row.String(), "v: a") {
			w.Errorf("the row was %v, %v", row, err)
		}
		if row, err := w.store.RowAsOf(ctx, "t", before, "2", "5"); !errors.Is(err, changes.ErrNotYet) {
			w.Errorf("a row that never was: %v, %v", row, err)
		}
		for row, err := range w.store.TableAsOf(ctx, "t", before) {
			if err != nil || !strings.Contains(row.String(), "v: a") {
				w.Errorf("the table had %v, %v", row, err)
			}
		}
		script, err := undo.RowAsOf(ctx, w.store, "t", before, "1", "5")
		w.must(err)
		w.exec(script.String())
		if got := w.text("SELECT v FROM t"); got != "a" {
			w.Errorf("the undo leads to %s:\n%s", got, script)
		}
	})
}

// TestRekeyedLater: rows that changed under another key cannot be followed, and errors say so, and when the key has changed.
func TestRekeyedLater(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, v text)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 'a')")
		w.rekey()
		rekeyed := w.moment()
		w.exec("UPDATE t SET v = 'b'")
		_, err := w.store.RowAsOf(ctx, "t", w.moment(), "2", "5")
		var asOf *changes.AsOfError
		if !errors.As(err, &asOf) || asOf.Break == nil || asOf.Break.Kind != changes.Reshaped || !asOf.Break.From.Before(asOf.Break.To) || asOf.Break.To.After(rekeyed) {
			w.Errorf("a row that never was: %v", err)
		}
		script, err := undo.RowAsOf(ctx, w.store, "t", rekeyed, "1", "1")
		w.must(err)
		if len(script.Statements) > 0 || len(script.Refusals) != 1 || !strings.Contains(script.Refusals[0].Reason, "captured with different keys") {
			w.Errorf("the undo is\n%s", script)
		}
		// A later key that the table had before is another one in between.
		w.exec("ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (id)")
		w.capture(capture.Table{Name: "t"})
		rekeyed = w.moment()
		w.exec("UPDATE t SET v = 'c'")
		if script, err = undo.RowAsOf(ctx, w.store, "t", rekeyed, "1"); err != nil || len(script.Refusals) != 1 {
			w.Errorf("with the first key again the undo is %v\n%s", err, script)
		}
	})
}

// TestShortKey: a key with more or fewer values than the table's is an error, and not that of a row without changes.
func TestShortKey(t *testing.T) {
	both(t, func(w *world) {
		w.exec("CREATE TABLE t (id int, tenant int, v text, PRIMARY KEY (id, tenant))", "CREATE TABLE other (id int PRIMARY KEY)")
		w.capture(capture.Table{Name: "t"}, capture.Table{Name: "other"})
		w.exec("INSERT INTO t VALUES (1, 5, 'a')")
		for _, key := range [][]string{{"1"}, {"1", "5", "a"}} {
			_, history := w.store.History(ctx, "t", key...)
			_, asOf := w.store.RowAsOf(ctx, "t", w.moment(), key...)
			_, page := w.store.Page(ctx, changes.Query{Tables: []string{"t"}, Key: key})
			_, script := undo.RowAsOf(ctx, w.store, "t", w.moment(), key...)
			for name, err := range map[string]error{"History": history, "RowAsOf": asOf, "Page": page, "the undo": script} {
				if err == nil || !strings.Contains(err.Error(), "has 2 columns, not ") || !strings.HasSuffix(err.Error(), ": id, tenant") {
					w.Errorf("%s of %v: %v", name, key, err)
				}
			}
		}
		if page, err := w.store.Page(ctx, changes.Query{Tables: []string{"t", "other"}, Key: []string{"1"}}); err != nil {
			w.Errorf("a key of one of two tables: %v, %v", page, err)
		}
	})
}
