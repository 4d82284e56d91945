package changes_test

import (
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestDroppedTable: of a table that was dropped the changes can be read page by page, and other questions are errors.
func TestDroppedTable(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 1)", "DROP TABLE t")
		found := 0
		for c, err := range w.store.Each(ctx, changes.Query{Tables: []string{"t"}}) {
			if w.must(err); c.Op != changes.Insert || c.Key[0] != "1" {
				t.Errorf("the change is %v of %v", c.Op, c.Key)
			}
			found++
		}
		if found != 1 {
			t.Errorf("%d changes", found)
		}
		_, asOf := w.store.RowAsOf(ctx, "t", time.Now(), "1")
		_, history := w.store.History(ctx, "t", "1")
		_, breaks := w.store.Breaks(ctx, "t")
		for _, err := range []error{asOf, history, breaks} {
			if err == nil || !strings.Contains(err.Error(), "there is no table t") {
				t.Errorf("the error is %v", err)
			}
		}
		for row, err := range w.store.TableAsOf(ctx, "t", time.Now()) {
			if row != nil || err == nil || !strings.Contains(err.Error(), "there is no table t") {
				t.Errorf("the table has %v, error: %v", row, err)
			}
		}
	})
}
