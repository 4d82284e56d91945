package delivery_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// TestStrictPlpgsql: a database may have all checks of PL/pgSQL as errors, for the app's own
// functions. Ours pass them, when they are made and when they are called.
func TestStrictPlpgsql(t *testing.T) {
	each(t, func(w *world) {
		w.must(w.bare.ExecContext(ctx, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET plpgsql.extra_errors = ''all''', current_database()); END $$"))
		w.must(w.bare.Close())
		w.bare = dbtest.Open(t, w.e.Driver, w.dsn)
		schema, err := journal.Schema(hooks.Postgres, nil)
		w.must(err)
		w.must(w.bare.ExecContext(ctx, schema))
		w.must(w.bare.ExecContext(ctx, threadline.Schema(hooks.Postgres, nil)))
		upgrade, err := journal.Upgrade(hooks.Postgres, nil)
		w.must(err)
		w.must(w.bare.ExecContext(ctx, upgrade))
		swap, err := journal.Swap(nil)
		w.must(err)
		w.must(w.bare.ExecContext(ctx, swap))

		a := w.start(forward.Options{}, func(h *forward.Hub) { h.Register(threadline.NewForwarder(nil), forward.Auto) })
		a.place(1, 2)
		a.drain()
		j, err := journal.New(hooks.Postgres, nil)
		w.must(err)
		claim, err := j.Claim(ctx, w.bare, []uuid.UUID{hooks.NewID()})
		if err != nil || claim != journal.ClaimNever {
			t.Errorf("Claim = %v, %v", claim, err)
		}
		store, err := relay.New(hooks.Postgres, nil)
		w.must(err)
		w.must(store.Announce(ctx, w.bare, "another"))
		for what, query := range map[string]string{
			"journal":  "SELECT count(*) FROM aftercommit.audit_events WHERE action = 'order.placed' AND metadata IS NULL",
			"timeline": "SELECT count(*) FROM threadline.audit_actions WHERE name = 'order.placed'",
		} {
			var n int
			w.must(w.bare.QueryRowContext(ctx, query).Scan(&n))
			if n != 2 {
				t.Errorf("%d entries in the %s, want 2", n, what)
			}
		}
	})
}
