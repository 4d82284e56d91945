package river_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// TestLeftBehind: what a sink leaves behind on its connection troubles neither River nor
// another call, although all use the same one.
func TestLeftBehind(t *testing.T) {
	exec := func(query string) func(*sql.DB) error {
		return func(db *sql.DB) error { _, err := db.ExecContext(ctx, query); return err }
	}
	for _, tt := range []struct {
		name  string
		leave func(db *sql.DB) error
	}{
		{"rows", func(db *sql.DB) error {
			rows, err := db.QueryContext(ctx, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT i FROM n")
			if err != nil {
				return err
			}
			rows.Next()
			return rows.Err()
		}},
		{"a transaction", func(db *sql.DB) error { _, err := db.BeginTx(ctx, nil); return err }},
		{"a connection", func(db *sql.DB) error { _, err := db.Conn(ctx); return err }},
		{"BEGIN", exec("BEGIN")},
		{"a temporary table", exec("CREATE TEMP TABLE orders (id integer)")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(w *world) {
				w.sink.answer = func(ctx context.Context, _ int, _ []journal.Entry) error {
					return tt.leave(forward.Conn(ctx))
				}
				w.start(forward.Async, forward.RelayElsewhere)
				w.commit(1)
				w.commit(2)
				w.commit(3)
				w.workOver(1)
				w.untilJobs("completed 1, completed 1, completed 1")
				w.told(hooks.NoticeDelivered, 3, "")
				w.told(hooks.NoticeSuspended, 0, "")
			})
		})
	}
}
