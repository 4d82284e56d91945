package delivery_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// TestReplicated: logical replication, by which servers are upgraded, refuses changes of
// published tables without a key, and copies no sequences.
func TestReplicated(t *testing.T) {
	each(t, func(w *world) {
		w.start(forward.Options{}, func(h *forward.Hub) { h.Register(threadline.NewForwarder(nil), forward.Auto) })
		for what, where := range map[string]string{
			"tables without a primary key": "c.relkind = 'r' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)",
			"sequences":                    "c.relkind = 'S'",
		} {
			var names string
			w.must(w.bare.QueryRowContext(ctx, "SELECT coalesce(string_agg(c.oid::regclass::text, ', '), '') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"+
				" WHERE n.nspname IN ('aftercommit', 'threadline') AND "+where).Scan(&names))
			if names != "" {
				t.Errorf("%s: %s", what, names)
			}
		}
	}, dbtest.PQ)
}
