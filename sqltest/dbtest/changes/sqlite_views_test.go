package changes_test

import (
	"context"
	"database/sql"
	"strconv"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
)

type session interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// remakeViews drops all views, changes a table, and makes them again, as PocketBase does when a field gets many values. It does
// not make their triggers.
func (w *world) remakeViews(s session, between ...string) {
	w.Helper()
	rows, err := s.QueryContext(ctx, "SELECT name, sql FROM sqlite_master WHERE type = 'view'")
	w.must(err)
	var drop, create []string
	for rows.Next() {
		var name, text string
		w.must(rows.Scan(&name, &text))
		drop, create = append(drop, "DROP VIEW "+name), append(create, text)
	}
	w.must(rows.Err())
	w.must(rows.Close())
	if len(drop) < 4 {
		w.Errorf("there are only %d views", len(drop))
	}
	for _, list := range [][]string{drop, between, create} {
		for _, q := range list {
			_, err := s.ExecContext(ctx, q)
			w.must(err)
		}
	}
}

// TestSQLiteViewsAreRemade: what makes all views of a database again takes nothing from the trail.
func TestSQLiteViewsAreRemade(t *testing.T) {
	alter := []string{"ALTER TABLE orders RENAME COLUMN a TO old", "ALTER TABLE orders ADD COLUMN a", "UPDATE orders SET a = 'b'", "ALTER TABLE orders DROP COLUMN old"}
	for name, remake := range map[string]func(w *world, conn *sql.Conn){
		"in a transaction of the app's": func(w *world, conn *sql.Conn) {
			w.on(conn, "BEGIN", "UPDATE orders SET a = 'before'")
			w.remakeViews(conn, alter...)
			w.on(conn, "COMMIT")
		},
		"before it writes": func(w *world, conn *sql.Conn) {
			w.on(conn, "BEGIN")
			w.remakeViews(conn, alter...)
			w.on(conn, "COMMIT")
		},
		"by another program": func(w *world, _ *sql.Conn) { w.remakeViews(w.db) },
	} {
		t.Run(name, func(t *testing.T) {
			w, conn := liteConn(t, driver.AllTables())
			w.exec("CREATE VIEW shown AS SELECT id FROM orders")
			w.on(conn, "UPDATE orders SET a = 1") // the journal and the timeline are there
			remake(w, conn)
			if n := w.text("SELECT count(*) FROM aftercommit_transaction WHERE tx_id IS NOT NULL"); n != "0" {
				w.Error("a transaction's number was committed")
			}
			w.on(conn, "UPDATE orders SET a = 2", "BEGIN", "UPDATE orders SET a = 3", "COMMIT")
			again, _ := liteApp(w) // another program
			_, err := again.ExecContext(ctx, "UPDATE orders SET a = 4")
			w.must(err)
			if got := w.text("SELECT count(*) FROM threadline_audit_changes WHERE tx_id IS NULL"); got != "0" {
				w.Errorf("%s changes have no transaction", got)
			}
			w.told("orders.updated", w.text("SELECT count(DISTINCT tx_id) FROM threadline_audit_changes"))
			w.exec("UPDATE orders SET a = 5")
			if got := w.text("SELECT tx_id FROM threadline_audit_changes ORDER BY seq DESC LIMIT 1"); got != "" {
				w.Error("a change of another program has the number of a transaction")
			}
		})
	}
}

// told checks how many transactions the timeline has an action of.
func (w *world) told(action, want string) {
	w.Helper()
	txs := make(map[int64]bool)
	for a, err := range threadline.NewStore(w.db, hooks.SQLite, nil).Each(ctx, threadline.Query{}) {
		w.must(err)
		if a.Action == action {
			txs[a.Tx.ID] = true
		}
	}
	if got := strconv.Itoa(len(txs)); got != want {
		w.Errorf("the timeline has %s of %s transactions, want %s", action, got, want)
	}
}

// TestSQLiteMarkIsCleared: a transaction that drops what its number was written through does not leave it.
func TestSQLiteMarkIsCleared(t *testing.T) {
	for _, drop := range []string{"DROP TABLE aftercommit_transaction_write", "DROP TRIGGER aftercommit_transaction_write_insert"} {
		t.Run(drop, func(t *testing.T) {
			w, conn := liteConn(t, driver.AllTables())
			w.on(conn, "BEGIN", "UPDATE orders SET a = 1", drop, "UPDATE orders SET a = 2", "COMMIT")
			w.exec("UPDATE orders SET a = 'shell'")
			if n := w.text("SELECT tx_id FROM threadline_audit_changes ORDER BY seq DESC LIMIT 1"); n != "" {
				w.Error("a change of another program has the number of a transaction")
			}
		})
	}
}
