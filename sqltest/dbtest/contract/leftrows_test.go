package contract_test

import (
	"context"
	"database/sql"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// leaver leaves rows open that no context closes.
type leaver struct {
	prepared bool
	calls    atomic.Int32
}

func (l *leaver) Forward(c context.Context, _ []journal.Entry) error {
	const many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT i FROM n, orders"
	l.calls.Add(1)
	var rows *sql.Rows
	var err error
	if l.prepared {
		var st *sql.Stmt
		if st, err = forward.Conn(c).PrepareContext(ctx(), many); err == nil {
			rows, err = st.QueryContext(ctx())
		}
	} else {
		rows, err = forward.Conn(c).QueryContext(ctx(), many)
	}
	if err != nil {
		return err
	}
	rows.Next()
	return rows.Err()
}

// TestRowsLeftOpenKeepNoLock: on SQLite rows keep their lock on the file after their
// connection is closed, and no one could write any more.
func TestRowsLeftOpenKeepNoLock(t *testing.T) {
	files := dbtest.SQLite.With("sqlite", func(tb testing.TB) string {
		tb.Helper()
		return dbtest.SQLiteFile(tb, "busy_timeout(1000)", "journal_mode(DELETE)")
	})
	for _, prepared := range []bool{false, true} {
		forEach(t, func(t *testing.T, e dbtest.Engine) {
			l := &leaver{prepared: prepared}
			w := newWorld(t, e, setup{
				forward: forward.Options{Timeout: 100 * time.Millisecond}, // as long as each commit waits
				hook: func(h hooks.Hook) hooks.Hook {
					h.(*forward.Hub).Register(l, forward.Sync)
					return h
				},
			})
			deadline := time.Now().Add(dbtest.Patience)
			for id := 1; l.calls.Load() < 3 && time.Now().Before(deadline); id++ { // one that takes too long keeps the next from being made
				tx := w.begin()
				w.must(tx.ExecContext(ctx(), "INSERT INTO orders (id) VALUES (?)", id))
				w.must(tx.Commit())
			}
			w.must(w.bare.ExecContext(ctx(), "DELETE FROM orders"))
			if calls := l.calls.Load(); calls != 3 {
				t.Errorf("never: 3 calls; there are %d", calls)
			}
		}, files)
	}
}
