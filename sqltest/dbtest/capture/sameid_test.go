package capture_test

import (
	"context"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestSameIDInAnotherTransaction: the journal keeps both events, and both are forwarded. A sink
// that knows events by their IDs, as the recorder does, keeps the first.
func TestSameIDInAnotherTransaction(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newHub(t, e, e.DSN(t))
		w.setUp("CREATE TABLE orders (id integer PRIMARY KEY)")
		w.register()
		id := uuid.Must(uuid.NewV7())
		w.must(w.placeAs(id, 1, "order.placed"))
		w.must(w.placeAs(id, 2, "order.shipped"))
		w.must(hooks.Record(ctx(), w.db, hooks.Event{ID: id, Action: "order.billed"}))
		for kind, want := range map[hooks.NoticeKind]int{hooks.NoticeLogged: 3, hooks.NoticeDelivered: 3, hooks.NoticeLost: 0} {
			if n := w.told.total(kind); n != want {
				t.Errorf("%d are %s, want %d", n, kind, want)
			}
		}
		j, err := journal.New(e.Dialect, nil)
		w.must(err)
		if n, err := j.Count(ctx(), w.bare, journal.Query{}); n != 3 || err != nil {
			t.Errorf("the journal has %d, %v; want 3", n, err)
		}
		w.recorder.Only(t, "order.placed")
	})
}

// placeAs commits an order with an event of that ID.
func (w *world) placeAs(id uuid.UUID, order int, action string) error {
	w.Helper()
	tx, err := w.db.BeginTx(context.Background(), nil)
	w.must(err)
	defer func() { _ = tx.Rollback() }()
	w.must(tx.ExecContext(ctx(), w.e.Rebind("INSERT INTO orders VALUES (?)"), order))
	w.must(hooks.Record(ctx(), tx, hooks.Event{ID: id, Action: action}))
	return tx.Commit()
}
