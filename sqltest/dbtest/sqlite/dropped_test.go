package sqlite_test

import (
	"strings"
	"testing"
)

// TestTablesDropped: what is to empty a database may drop its tables and leave the views.
// The next event makes everything anew, in the program that runs and in another.
func TestTablesDropped(t *testing.T) {
	const orders = "CREATE TABLE orders (id integer PRIMARY KEY)"
	for _, restart := range []bool{false, true} {
		w := newWorld(t)
		db := w.open()
		w.must(w.bare.ExecContext(ctx, orders))
		w.must(db.ExecContext(ctx, "INSERT INTO orders VALUES (1)"))
		w.wantTrail(db, "orders.inserted")
		for _, name := range strings.Fields(w.text(w.bare, "SELECT group_concat(name, ' ') FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")) {
			w.must(w.bare.ExecContext(ctx, "DROP TABLE "+name))
		}
		if restart {
			path, bare := w.path, w.bare
			w.must(db.Close())
			w = newWorld(t)
			w.path, w.bare = path, bare
			db = w.open()
		}
		w.must(w.bare.ExecContext(ctx, orders))
		tx, err := db.BeginTx(ctx, nil)
		w.must(err)
		w.must(tx.ExecContext(ctx, "INSERT INTO orders VALUES (1)"))
		w.must(record(tx, "order.noted"))
		w.must(tx.Commit())
		w.must(db.ExecContext(ctx, "INSERT INTO orders VALUES (2)"))
		w.wantTrail(db, "orders.inserted order.noted orders.inserted")
		w.must(db.ExecContext(ctx, "ALTER TABLE orders RENAME TO purchases"))
		if warnings := w.warnings(); warnings != "" {
			t.Error(warnings)
		}
		w.must(db.Close())
	}
}
