package changes_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
)

// TestCopyBeforeItsFirstChange: another database that is to keep the row changes says that none has arrived yet, and then which tables
// are not captured.
func TestCopyBeforeItsFirstChange(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TABLE orders (id int PRIMARY KEY)", "CREATE TABLE other (id int PRIMARY KEY)")
		w.capture(capture.Table{Name: "orders"})
		c := w.copyTo(dbtest.Postgres(t), func(*forward.Hub) {})
		there := c.there
		ask := func(table string) map[string]error {
			errs := there.byKey(time.Now(), table, "1")
			_, errs["Breaks"] = there.store.Breaks(ctx, table)
			for _, err := range there.store.TableAsOf(ctx, table, time.Now()) {
				errs["TableAsOf"] = err
			}
			_, errs["undo.RowAsOf"] = undo.RowAsOf(ctx, there.store, table, time.Now(), "1")
			return errs
		}
		for question, err := range ask("orders") {
			if err == nil || !strings.Contains(err.Error(), "none has arrived yet") {
				t.Errorf("%s before the first change: %v", question, err)
			}
		}
		c.exec("INSERT INTO orders VALUES (1)")
		c.drain()
		for question, err := range ask("other") {
			if !errors.Is(err, changes.ErrNotCaptured) || strings.Contains(err.Error(), "none has arrived yet") {
				t.Errorf("%s of a table that is not captured: %v", question, err)
			}
		}
		there.wantStory("insert id: NULL → 1;", "orders", "1")
	})
}
