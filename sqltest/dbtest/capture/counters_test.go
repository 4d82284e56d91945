package capture_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// value asks the app's session, or its transaction.
func value(w *world, q interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}, query string,
) (v int64) {
	w.Helper()
	w.must(q.QueryRowContext(ctx(), query).Scan(&v))
	return v
}

// What a session remembers of the app's last statement, and what of it a flush
// replaces: README of the driver, "Encodings and what is stored".
func TestLastvalIsTheAppsUntilACommit(t *testing.T) {
	each(t, "CREATE TABLE orders (id serial PRIMARY KEY, note text)", func(w *world) {
		w.db.SetMaxOpenConns(1)
		w.must(w.bare.ExecContext(ctx(), "SELECT setval('orders_id_seq', 1000)"))
		tx, err := w.db.BeginTx(ctx(), nil)
		w.must(err)
		w.must(tx.ExecContext(ctx(), "INSERT INTO orders (note) VALUES ('a')"))
		w.must(hooks.Record(ctx(), tx, hooks.Event{Action: "order.placed"}))
		if got := value(w, tx, "SELECT lastval()"); got != 1001 {
			w.Errorf("lastval() within the transaction is %d, want 1001", got)
		}
		w.must(tx.Commit())
		if got := value(w, w.db, "SELECT currval('orders_id_seq')"); got != 1001 {
			w.Errorf("currval after the commit is %d, want 1001", got)
		}
		if got := value(w, w.db, "SELECT lastval()"); got != 1001 {
			w.Errorf("lastval() after the commit is %d, want 1001", got)
		}
		w.must(w.db.ExecContext(ctx(), "INSERT INTO orders (note) VALUES ('b')"))
		if got := value(w, w.db, "SELECT currval('orders_id_seq')"); got != 1002 {
			w.Errorf("currval after a statement outside any transaction is %d, want 1002", got)
		}
		// In one string nothing comes between the two.
		w.must(w.db.ExecContext(ctx(), "INSERT INTO orders (note) VALUES ('c'); UPDATE orders SET note = lastval()::text WHERE id = lastval()"))
		if got := value(w, w.db, "SELECT note::int FROM orders WHERE id = 1003"); got != 1003 {
			w.Errorf("lastval() within a string of statements is %d, want 1003", got)
		}
	}, pg...)
}

func TestRowidAndChangesAreTheAppsUntilACommit(t *testing.T) {
	each(t, "CREATE TABLE orders (id integer PRIMARY KEY, note text); INSERT INTO orders VALUES (1000, 'first')", func(w *world) {
		w.db.SetMaxOpenConns(1)
		tx, err := w.db.BeginTx(ctx(), nil)
		w.must(err)
		before := value(w, tx, "SELECT total_changes()")
		w.must(tx.ExecContext(ctx(), "INSERT INTO orders (note) VALUES ('a'), ('b'), ('c')"))
		w.must(hooks.Record(ctx(), tx, hooks.Event{Action: "order.placed"}))
		if got := value(w, tx, "SELECT changes()"); got != 3 {
			w.Errorf("changes() within the transaction is %d, want 3", got)
		}
		if got := value(w, tx, "SELECT total_changes()") - before; got != 3 {
			w.Errorf("total_changes() within the transaction grew by %d, want 3", got)
		}
		w.must(tx.Commit())
		if got := value(w, w.db, "SELECT last_insert_rowid()"); got != 1003 {
			w.Errorf("last_insert_rowid() after the commit is %d, want 1003", got)
		}
		// The limit: they count the journal's rows. When they do not, say so.
		if got := value(w, w.db, "SELECT changes()"); got == 3 {
			w.Error("changes() after a commit is the app's: take this limit out of the README")
		}
		res, err := w.db.ExecContext(ctx(), "INSERT INTO orders (note) VALUES ('d'), ('e')")
		w.must(err)
		id, err := res.LastInsertId()
		w.must(err)
		n, err := res.RowsAffected()
		w.must(err)
		if id != 1005 || n != 2 {
			w.Errorf("the result says row %d of %d, want 1005 and 2", id, n)
		}
		if got := value(w, w.db, "SELECT last_insert_rowid()"); got != 1005 {
			w.Errorf("last_insert_rowid() after a statement outside any transaction is %d, want 1005", got)
		}
	}, lite...)
}
