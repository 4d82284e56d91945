package changes_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestDenied: what a role may not do is an error that says who may, or where the grants are.
func TestDenied(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE u (id int PRIMARY KEY)", "CREATE SCHEMA closed", "CREATE TABLE closed.orders (id int PRIMARY KEY)")
		w.capture(capture.Table{Name: "t"})
		plan, err := w.installer().Plan(ctx, capture.Table{Name: "u"})
		w.must(err)
		w.exec("DROP ROLE IF EXISTS changes_denied", "CREATE ROLE changes_denied", "GRANT SELECT ON t, u TO changes_denied")
		defer w.exec("DROP OWNED BY changes_denied CASCADE", "DROP ROLE changes_denied")
		w.db.SetMaxOpenConns(1)
		w.exec("SET ROLE changes_denied")
		for name, c := range map[string]struct {
			do   func() error
			want string
		}{
			"history":       {func() error { _, err := w.store.History(ctx, "t", "1"); return err }, "Rights in the README"},
			"page":          {func() error { _, err := w.store.Page(ctx, changes.Query{}); return err }, "Rights in the README"},
			"apply":         {func() error { return w.installer().Apply(ctx, plan) }, "by the role that owns the history"},
			"remove":        {func() error { return w.installer().Remove(ctx, "t") }, "by the role that owns the history"},
			"closed schema": {func() error { _, err := w.store.History(ctx, "orders", "1"); return err }, "there is closed.orders, in a schema that this role may not use: grant USAGE on it"},
		} {
			if err := c.do(); err == nil || strings.Count(err.Error(), c.want) != 1 {
				w.Errorf("%s: %v, want %s", name, err, c.want)
			}
		}
		w.exec("RESET ROLE")
	})
}
