package capture_test

import (
	sqldriver "database/sql/driver"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

const copyOrders = `COPY "orders" ("id", "note") FROM STDIN`

// copyIn copies n rows into orders as lib/pq does it: a prepared statement that
// is executed for each row, and once more without arguments.
func (w *world) copyIn(h preparer, from, n int) {
	w.Helper()
	stmt, err := h.PrepareContext(ctx(), copyOrders)
	w.must(err)
	for i := range n {
		w.must(stmt.ExecContext(ctx(), from+i, "copied"))
	}
	w.must(stmt.ExecContext(ctx()))
	w.must(stmt.Close())
}

// TestCopyIn: lib/pq's COPY works, and is an event with the rows that the server
// counted.
func TestCopyIn(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		tx := w.begin()
		w.record(tx, "before")
		w.copyIn(tx, 0, 10)
		w.execOn(tx, "UPDATE orders SET note = 'x' WHERE id = 1")
		w.copyIn(tx, 10, 10)
		w.record(tx, "after")
		w.must(tx.Commit())
		w.wantCount("orders", 20)
		w.want("thing.noted thing#before", "orders.inserted orders statements=2 rows=20",
			"orders.updated orders#1 statements=1 rows=1", "thing.noted thing#after")
		if n := w.told.total(hooks.NoticeUncaptured); n != 0 {
			w.Errorf("%d statements counted as uncaptured", n)
		}

		tx = w.begin()
		w.copyIn(tx, 20, 10)
		w.must(tx.Rollback())
		w.wantCount("orders", 20)
		w.want()
	}, dbtest.PQ)
}

// TestCopyInClosed: the Close of its statement has lib/pq copy the rows, too; it
// does not say how many.
func TestCopyInClosed(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		tx := w.begin()
		stmt, err := tx.PrepareContext(ctx(), copyOrders)
		w.must(err)
		w.must(stmt.ExecContext(ctx(), 1, "copied"))
		w.must(stmt.Close())
		w.must(tx.Commit())
		w.wantCount("orders", 1)
		w.want("orders.inserted orders statements=1 conditional=true")

		tx = w.begin()
		w.must(tx.ExecContext(ctx(), "SAVEPOINT a"))
		stmt, err = tx.PrepareContext(ctx(), copyOrders)
		w.must(err)
		w.must(stmt.ExecContext(ctx(), 1, "taken"))
		if stmt.Close() == nil {
			w.Error("an id is taken twice")
		}
		w.must(tx.ExecContext(ctx(), "ROLLBACK TO a"))
		w.must(tx.Commit())
		w.want()
	}, dbtest.PQ)
}

// TestCopyInOfNothing: no rows, no event.
func TestCopyInOfNothing(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		tx := w.begin()
		w.copyIn(tx, 0, 0)
		stmt, err := tx.PrepareContext(ctx(), copyOrders)
		w.must(err)
		w.must(stmt.Close())
		w.must(tx.Commit())
		w.want()
	}, dbtest.PQ)
}

// TestCopyInOutside: what lib/pq says of a COPY outside a transaction is its
// own business, and nothing is left in the way.
func TestCopyInOutside(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		conn := w.conn()
		plain, err := w.bare.Conn(ctx())
		w.must(err)
		defer plain.Close()
		_, want := plain.PrepareContext(ctx(), copyOrders)
		stmt, err := conn.PrepareContext(ctx(), copyOrders)
		if (err == nil) != (want == nil) || err != nil && err.Error() != want.Error() {
			w.Errorf("error %v, the bare driver's %v", err, want)
		}
		if err == nil {
			w.must(stmt.ExecContext(ctx(), 1, "copied"))
			w.must(stmt.ExecContext(ctx()))
			w.must(stmt.Close())
			w.wantCount("orders", 1)
		}
		w.execOn(conn, "INSERT INTO orders (id) VALUES (99)")
		w.want("orders.inserted orders#99 statements=1 rows=1")
	}, dbtest.PQ)
}

// TestRaw: pgx's own connection, for what database/sql has no words for. What
// was recorded before is safe, what is done there is counted.
func TestRaw(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		conn := w.conn()
		copyRows := func(from int) {
			w.must(conn.Raw(func(dc any) error {
				c := driver.Raw(dc).(*stdlib.Conn).Conn()
				_, err := c.CopyFrom(ctx(), pgx.Identifier{"orders"}, []string{"id", "note"},
					pgx.CopyFromRows([][]any{{from, "raw"}, {from + 1, "raw"}}))
				return err
			}))
		}
		copyRows(1)
		w.want()

		tx, err := conn.BeginTx(ctx(), nil)
		w.must(err)
		w.record(tx, "before")
		copyRows(3)
		w.record(tx, "after")
		w.must(tx.Commit())
		w.want("thing.noted thing#before", "thing.noted thing#after")

		tx, err = conn.BeginTx(ctx(), nil)
		w.must(err)
		w.record(tx, "lost")
		copyRows(5)
		w.must(tx.Rollback())
		w.want()
		w.wantCount("orders", 4)
		if n := w.told.total(hooks.NoticeUncaptured); n != 3 {
			w.Errorf("%d uses of the raw connection counted, want 3", n)
		}
	}, dbtest.PGX)
}

// TestRawControl: a transaction that is ended behind the driver's back takes
// its events with it, or keeps them.
func TestRawControl(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		for id, end := range []string{"COMMIT", "ROLLBACK"} {
			conn := w.conn()
			w.execOn(conn, "BEGIN")
			w.execOn(conn, "INSERT INTO orders (id) VALUES (?)", id)
			w.must(conn.Raw(func(dc any) error {
				_, err := driver.Raw(dc).(sqldriver.ExecerContext).ExecContext(ctx(), end, nil)
				return err
			}))
			w.record(conn, end)
		}
		w.wantCount("orders", 1)
		w.want("orders.inserted orders#0 statements=1 rows=1", "thing.noted thing#COMMIT", "thing.noted thing#ROLLBACK")
	})
}

// TestRawUnwrapped: what is not wrapped is returned as it is.
func TestRawUnwrapped(t *testing.T) {
	each(t, "", func(w *world) {
		conn, err := w.bare.Conn(ctx())
		w.must(err)
		defer conn.Close()
		w.must(conn.Raw(func(dc any) error {
			if driver.Raw(dc) != dc {
				w.Error("Raw returns something else")
			}
			return nil
		}))
	})
}
