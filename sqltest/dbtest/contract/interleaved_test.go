package contract_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestInterleavedReturning: SQLite lets a connection execute a statement while
// the rows of another are open. The bare driver commits each when its rows end;
// wrapped, the first began a transaction, which must not end under the second.
func TestInterleavedReturning(t *testing.T) {
	w := newWorld(t, dbtest.SQLite, setup{})
	w.orders(4)
	conn, err := w.db.Conn(ctx())
	w.must(err)
	first, err := conn.QueryContext(ctx(), updateReturning, 2)
	w.must(err)
	if !first.Next() {
		t.Fatal("no first row", first.Err())
	}
	second, err := conn.QueryContext(ctx(), "DELETE FROM orders WHERE id > 1 RETURNING id")
	w.must(err)
	if !second.Next() {
		t.Fatal("no second row", second.Err())
	}
	for first.Next() {
		continue
	}
	w.must(first.Err())
	w.must(first.Close())
	n := 1
	for second.Next() {
		n++
	}
	w.must(second.Err())
	w.must(second.Close())
	w.must(conn.Close())
	if n != 2 {
		t.Errorf("the second statement returned %d rows, want 2", n)
	}
	w.want("0 1", "orders.updated orders.deleted", "orders.updated orders.deleted")
}
