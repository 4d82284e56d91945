package capture_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// An event is not dropped because the journal has another one with its ID: the
// transaction does not commit, or, in best effort, the loss is reported. Nothing
// that is not in the journal is forwarded.
func TestSameIDInAnotherTransaction(t *testing.T) {
	const ddl = "CREATE TABLE orders (id integer PRIMARY KEY)"
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		for _, mode := range []hooks.Mode{hooks.Strict, hooks.BestEffort} {
			t.Run(mode.String(), func(t *testing.T) {
				w := newHub(t, e, e.DSN(t))
				w.setUp(ddl)
				w.register(driver.WithMode(mode))
				id := uuid.Must(uuid.NewV7())
				w.must(w.placeAs(id, 1, "order.placed"))
				err := w.placeAs(id, 2, "order.shipped")
				if mode == hooks.Strict && (err == nil || !strings.Contains(err.Error(), "has another event with the ID")) {
					t.Errorf("Commit = %v, want the reason", err)
				}
				if mode == hooks.BestEffort && err != nil {
					t.Errorf("Commit = %v", err)
				}
				if lost := w.told.total(hooks.NoticeLost); (lost == 1) != (mode == hooks.BestEffort) {
					t.Errorf("%d were reported as lost", lost)
				}
				if n := w.told.total(hooks.NoticeLogged); n != 1 {
					t.Errorf("%d were reported as logged, want 1", n)
				}
				// At once, outside any transaction, it is the same.
				if err := hooks.Record(ctx(), w.db, hooks.Event{ID: id, Action: "order.billed"}); (err != nil) != (mode == hooks.Strict) {
					t.Errorf("Record = %v", err)
				}
				var rows int
				w.must(w.bare.QueryRowContext(ctx(), "SELECT count(*) FROM orders").Scan(&rows))
				if want := map[hooks.Mode]int{hooks.Strict: 1, hooks.BestEffort: 2}[mode]; rows != want {
					t.Errorf("%d orders, want %d", rows, want)
				}
				w.recorder.Only(t, "order.placed")
			})
		}
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
