package contract_test

import (
	"context"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestRecordWithRowsOpen of a string that may have ended the transaction: where the
// driver cannot ask whether it has, Record and OnCommit say so. That costs neither the
// rows nor the transaction nor its events.
func TestRecordWithRowsOpen(t *testing.T) {
	for what, record := range map[string]func(h hooks.Handle) error{
		"Record":   func(h hooks.Handle) error { return hooks.Record(ctx(), h, named("b")) },
		"OnCommit": func(h hooks.Handle) error { return hooks.OnCommit(ctx(), h, func(context.Context) {}) },
	} {
		t.Run(what, func(t *testing.T) {
			each(t, func(w *world) {
				conn := w.conn()
				w.must(conn.ExecContext(ctx(), "BEGIN"))
				w.insert(conn, 1)
				w.record(conn, "a")
				rows, err := conn.QueryContext(ctx(), "SAVEPOINT s; SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3")
				w.must(err)
				defer rows.Close()
				rows.Next()
				want := "a"
				if err = record(conn); err == nil && what == "Record" {
					want = "a b"
				} else if err != nil && !strings.Contains(err.Error(), "rows are open") {
					t.Errorf("%v, want an error that says that rows are open", err)
				}
				n := 1
				for rows.Next() {
					n++
				}
				if err := rows.Err(); err != nil || n != 3 {
					t.Errorf("%d rows, error %v, want 3", n, err)
				}
				w.must(rows.Close())
				w.must(record(conn))
				if what == "Record" {
					want += " b"
				}
				w.must(conn.ExecContext(ctx(), "COMMIT"))
				w.want("1", want, want)
			}, dbtest.PQ, dbtest.SQLite)
		})
	}
}
