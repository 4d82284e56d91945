package changes_test

import (
	"errors"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestNeverCaptured: of a table that was never captured there is no empty history, also where a migration has put it in the place of
// one that is.
func TestNeverCaptured(t *testing.T) {
	both(t, func(w *world) {
		check := func() {
			w.Helper()
			if list, err := w.store.History(ctx, "t", "1"); !errors.Is(err, changes.ErrNotCaptured) {
				w.Errorf("the history is %v, %v", list, err)
			}
			if list, err := w.store.Breaks(ctx, "t"); !errors.Is(err, changes.ErrNotCaptured) {
				w.Errorf("the breaks are %v, %v", list, err)
			}
		}
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		check()
		w.capture(capture.Table{Name: "t"})
		w.wantStory("", "t", "1")
		w.exec("INSERT INTO t VALUES (1, 1)", "CREATE TABLE other (id int PRIMARY KEY, a int)", "INSERT INTO other SELECT * FROM t", "ALTER TABLE t RENAME TO former", "ALTER TABLE other RENAME TO t")
		check()
		w.wantStory("insert id: NULL → 1; a: NULL → 1;", "former", "1")
	})
}
