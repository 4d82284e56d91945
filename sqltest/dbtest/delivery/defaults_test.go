package delivery_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// TestOtherDefaults: however the sessions' transactions begin, each history that
// the bare driver commits commits, and what it records is delivered at once. In this
// one only the first transaction has read what the second has written; a reader of
// the journal between them, in which the first writes later, would be one too many.
func TestOtherDefaults(t *testing.T) {
	const (
		database, role           = "ALTER DATABASE %1$I SET ", "ALTER ROLE %2$I IN DATABASE %1$I SET "
		serializable, repeatable = "default_transaction_isolation = 'serializable'", "default_transaction_isolation = 'repeatable read'"
		readOnly, deferrable     = "default_transaction_read_only = on", "default_transaction_deferrable = on"
	)
	for name, settings := range map[string][]string{
		"serializable":    {database + serializable},
		"repeatable read": {database + repeatable},
		"read only":       {database + readOnly},
		"all of the role": {role + serializable, role + readOnly, role + deferrable},
	} {
		for _, dispatch := range []forward.Dispatch{forward.Async, forward.Sync} {
			t.Run(fmt.Sprint(name, " ", dispatch), func(t *testing.T) {
				each(t, func(w *world) {
					w.must(w.bare.ExecContext(ctx, "CREATE TABLE seen (id text)"))
					for _, setting := range settings {
						w.must(w.bare.ExecContext(ctx, "DO $do$ BEGIN EXECUTE format($q$"+setting+"$q$, current_database(), current_user); END $do$"))
					}
					a := w.start(forward.Options{}, func(h *forward.Hub) {
						h.Register(w.sink, dispatch)
						h.Register(threadline.NewForwarder(nil), dispatch)
						h.Register(begins{}, dispatch)
					})
					delivered := func() {
						if dispatch == forward.Async {
							a.drain()
						}
					}
					a.history(delivered)
					delivered()
					w.want("2 1")
					for _, table := range []string{"threadline.audit_actions", "seen"} {
						var n int
						w.must(w.bare.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&n))
						if n != 2 {
							w.Errorf("%s has %d rows, want 2", table, n)
						}
					}
					if reason := w.sink.reasonOf(hooks.NoticeFailed); reason != "" {
						w.Errorf("something failed: %s", reason)
					}
				})
			})
		}
	}
}

// begins writes in transactions of its own, on the connection that it is lent.
type begins struct{}

// Forward adds rows to the table seen.
func (begins) Forward(ctx context.Context, entries []journal.Entry) error {
	tx, err := forward.Conn(ctx).BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for _, e := range entries {
		if _, err := tx.ExecContext(ctx, "INSERT INTO seen VALUES ('"+e.Target.ID+"')"); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// history begins a transaction, commits another, has its event delivered, and goes
// on with the first.
func (a *app) history(delivered func()) {
	a.Helper()
	begin := func(id int, read string) (commit func()) {
		conn, err := a.db.Conn(ctx)
		a.must(err)
		var n int
		a.must(conn.ExecContext(ctx, "BEGIN READ WRITE"))
		a.must(conn.QueryRowContext(ctx, read).Scan(&n))
		return func() {
			a.Helper()
			a.must(conn.ExecContext(ctx, a.e.Rebind("INSERT INTO orders (id) VALUES (?)"), id))
			a.must(hooks.Record(ctx, conn, hooks.Event{Action: "order.placed", Target: hooks.Target{Type: "order", ID: fmt.Sprint(id)}}))
			a.must(conn.ExecContext(ctx, "COMMIT"))
			a.must(conn.Close())
		}
	}
	first := begin(1, "SELECT count(*) FROM orders")
	begin(2, "SELECT 1")()
	delivered()
	first()
}
