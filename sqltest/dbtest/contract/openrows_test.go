package contract_test

import (
	"fmt"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// withOpenRows does what an app does that has not read its rows to the end, and
// returns what each step said.
func (w *world) withOpenRows(end string) string {
	w.Helper()
	conn, err := w.db.Conn(ctx())
	w.must(err)
	defer func() { _ = conn.Close() }()
	r := &runner{e: w.e, conn: conn, way: byExec, bare: w.hub == nil}
	for _, step := range script("BEGIN | +1 | +2 | !a").steps() {
		w.must(r.step(step))
	}
	rows, err := conn.QueryContext(ctx(), "SELECT id FROM things")
	w.must(err)
	rows.Next()
	early := r.step(end)
	closing := rows.Close()
	w.must(rows.Err())
	return fmt.Sprintf("with the rows open: %s\nclosing them: %s\nafterwards: %s", kind(early), kind(closing), kind(r.step(end)))
}

// TestOpenRows: lib/pq refuses a COMMIT while rows are open, and the transaction
// goes on; SQLite executes it. Whatever the bare driver does, it must come to
// the same. (pgx says ErrBadConn, at which database/sql waits for itself: its
// Conn cannot close while it has rows.)
func TestOpenRows(t *testing.T) {
	for _, end := range []string{"COMMIT", "ROLLBACK"} {
		t.Run(end, func(t *testing.T) {
			each(t, func(w *world) {
				twin := newTwin(w.T, w.e)
				got, want := w.withOpenRows(end), twin.withOpenRows(end)
				if got != want {
					w.Errorf("%s\nand on the bare driver\n%s", got, want)
				}
				w.must(w.hub.Settle(ctx()))
				if rows := twin.rows(); rows == "" {
					w.want("", "", "")
				} else {
					w.want(rows, "a", "a")
				}
			}, dbtest.PQ, dbtest.SQLite)
		})
	}
}

// TestOpenRowsOfTx: database/sql closes what a Tx has left open before it
// commits.
func TestOpenRowsOfTx(t *testing.T) {
	each(t, func(w *world) {
		tx := w.begin()
		for id := range 3 {
			w.insert(tx, id)
		}
		w.record(tx, "a")
		rows, err := tx.QueryContext(ctx(), "UPDATE orders SET note = 'x' RETURNING id")
		w.must(err)
		defer rows.Close()
		w.must(rows.Err())
		w.must(rows.Close()) // lib/pq prepares nothing before
		more, err := tx.PrepareContext(ctx(), "SELECT id FROM things")
		w.must(err)
		defer more.Close()
		left, err := more.QueryContext(ctx())
		w.must(err)
		defer left.Close()
		left.Next()
		w.must(left.Err())
		w.within("Commit", func() { w.must(tx.Commit()) })
		w.want("0 1 2", "a", "a")
	})
}
