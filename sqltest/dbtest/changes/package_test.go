package changes_test

import (
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
)

// TestErrorsNameTheirPackage: an error begins with the package that the program has called, whichever found it, and names no other.
func TestErrorsNameTheirPackage(t *testing.T) {
	both(t, func(w *world) {
		want := func(call string, err error) {
			w.Helper()
			pkg, _, _ := strings.Cut(call, ".")
			if err == nil {
				w.Errorf("%s has no error", call)
				return
			}
			for _, line := range strings.Split(err.Error(), "\n") {
				if !strings.HasPrefix(line, pkg+": ") || pkg != "changes" && strings.Contains(line, "changes: ") {
					w.Errorf("%s: %s", call, line)
				}
			}
		}
		w.exec("CREATE TABLE orders (id int PRIMARY KEY)", "CREATE VIEW v AS SELECT * FROM orders")
		for _, table := range []string{"ordrs", "", "v", "a b", "nowhere.orders"} {
			_, err := w.installer().Plan(ctx, capture.Table{Name: table})
			want("capture.Plan", err)
			if table != "v" { // of a view PostgreSQL has nothing to remove
				want("capture.Remove", w.installer().Remove(ctx, table))
			}
			_, err = w.store.History(ctx, table, "1")
			want("changes.History", err)
			_, err = undo.RowAsOf(ctx, w.store, table, time.Now(), "1")
			want("undo.RowAsOf", err)
			if w.e.Dialect == hooks.Postgres {
				_, _, err = capture.Of(capture.Table{Name: table}, capture.Table{Name: "another"}).Keep(ctx, w.db)
				want("capture.Keep", err)
			}
		}
		_, err := undo.RowAsOf(ctx, w.store, "orders", time.Now(), "1")
		want("undo.RowAsOf", err)
		w.exec(w.either("DROP SCHEMA threadline CASCADE", "DROP TABLE threadline_audit_changes"))
		_, err = w.installer().Plan(ctx, capture.Table{Name: "orders"})
		want("capture.Plan", err)
		_, err = w.store.Transaction(ctx, 1, time.Now(), 1)
		want("changes.Transaction", err)
	})
}
