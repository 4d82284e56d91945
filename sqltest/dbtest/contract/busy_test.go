package contract_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// impatient is SQLite with a rollback journal, where a reader keeps a writer
// from its COMMIT, and without a busy_timeout.
var impatient = dbtest.SQLite.With("sqlite", func(tb testing.TB) string {
	tb.Helper()
	return dbtest.SQLiteFile(tb, "journal_mode(DELETE)")
})

// reader begins to read, and returns what ends it.
func (w *world) reader() (stop func()) {
	w.Helper()
	tx, err := w.bare.BeginTx(ctx(), nil)
	w.must(err)
	var n int
	w.must(tx.QueryRowContext(ctx(), "SELECT count(*) FROM things").Scan(&n))
	return func() {
		w.Helper()
		w.must(tx.Rollback())
	}
}

// TestBusyRawCommit: SQLite says SQLITE_BUSY, and the transaction goes on.
func TestBusyRawCommit(t *testing.T) {
	each(t, func(w *world) {
		conn := w.conn()
		w.must(conn.ExecContext(ctx(), "BEGIN"))
		w.insert(conn, 1)
		w.record(conn, "a")
		stop := w.reader()
		_, err := conn.ExecContext(ctx(), "COMMIT")
		w.wantBusy(err)
		w.record(conn, "b")
		stop()
		w.must(conn.ExecContext(ctx(), "COMMIT"))
		w.want("1", "a b", "a b")
	}, impatient)
}

// TestBusyRawCommitThenRollback is the same with another end.
func TestBusyRawCommitThenRollback(t *testing.T) {
	each(t, func(w *world) {
		conn := w.conn()
		w.must(conn.ExecContext(ctx(), "BEGIN"))
		w.insert(conn, 1)
		w.record(conn, "a")
		stop := w.reader()
		_, err := conn.ExecContext(ctx(), "COMMIT")
		w.wantBusy(err)
		stop()
		w.must(conn.ExecContext(ctx(), "ROLLBACK"))
		w.want("", "", "")
	}, impatient)
}

// TestBusyCommit: after a Tx there is no second try.
func TestBusyCommit(t *testing.T) {
	each(t, func(w *world) {
		w.db.SetMaxOpenConns(1)
		tx := w.begin()
		w.insert(tx, 1)
		w.record(tx, "a")
		stop := w.reader()
		w.wantBusy(tx.Commit())
		stop()
		w.must(w.hub.Settle(ctx()))
		w.want("", "", "")
		w.goesOn()
		w.want("2", "b", "b")
	}, impatient)
}

// TestBusyAutocommit: neither the row nor the event, and no transaction left
// behind.
func TestBusyAutocommit(t *testing.T) {
	each(t, func(w *world) {
		w.db.SetMaxOpenConns(1)
		w.must(w.db.PingContext(ctx()))
		stop := w.reader()
		_, err := w.db.ExecContext(ctx(), "INSERT INTO orders (id) VALUES (1)")
		w.wantBusy(err)
		stop()
		w.want("", "", "")
		w.must(w.db.ExecContext(ctx(), "INSERT INTO orders (id) VALUES (2)"))
		w.want("2", "orders.inserted", "orders.inserted")
	}, impatient)
}

func (w *world) wantBusy(err error) {
	w.Helper()
	if err == nil || !strings.Contains(err.Error(), "SQLITE_BUSY") {
		w.Errorf("error %s, want SQLITE_BUSY", kind(err))
	}
}
