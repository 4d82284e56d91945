package contract_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestAutocommit: a captured statement outside any transaction, and its event,
// are one.
func TestAutocommit(t *testing.T) {
	check(t, []way{byExec, byQuery, byPrepare},
		kept("insert", "INSERT INTO orders (id) VALUES (1)", "1", "orders.inserted"),
		kept("insert of several rows", "INSERT INTO orders (id) VALUES (1), (2)", "1 2", "orders.inserted"),
		kept("update", "@1 | UPDATE orders SET note = 'x' WHERE id = 1", "1", "orders.inserted orders.updated"),
		kept("delete", "@1 | DELETE FROM orders WHERE id = 1", "", "orders.inserted orders.deleted"),
		kept("upsert", "@1 | INSERT INTO orders (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET note = 'x'", "1", "orders.inserted orders.upserted"),
		kept("truncate", "@1 | TRUNCATE orders", "", "orders.inserted orders.truncated", pg...),
		kept("replace", "@1 | REPLACE INTO orders (id) VALUES (1)", "1", "orders.inserted orders.upserted", lite...),
		kept("a conflict", "@1 | INSERT INTO orders (id) VALUES (1)", "1", "orders.inserted"),
		kept("a wrong statement", "INSERT INTO orders (nonsense) VALUES (1) | @2", "2", "orders.inserted"),
		kept("a table that is not captured", "INSERT INTO things (id) VALUES (1)", "1", ""),
		kept("a table of that name is quoted", `INSERT INTO "orders" (id) VALUES (1)`, "1", "orders.inserted"),
		kept("comments and case", "/* x */ insert into Orders (id) values (1) -- y", "1", "orders.inserted"),
		kept("in a transaction", "BEGIN | INSERT INTO orders (id) VALUES (1) | UPDATE orders SET note = 'x' | ROLLBACK", "", ""),
	)
}

// TestAutocommitOfNoRow: what changed nothing is no event. Query does not tell
// how many rows a statement without RETURNING changed.
func TestAutocommitOfNoRow(t *testing.T) {
	check(t, []way{byExec, byPrepare},
		kept("update", "UPDATE orders SET note = 'x' WHERE id = 99", "", ""),
		kept("delete", "DELETE FROM orders", "", ""),
		kept("in a transaction", "Begin | DELETE FROM orders | Commit", "", ""),
	)
}

// TestAutocommitOfSeveral: a string of writes without control words is one
// transaction on PostgreSQL; on SQLite each of its statements is one.
func TestAutocommitOfSeveral(t *testing.T) {
	check(t, []way{byExec},
		kept("both", "INSERT INTO orders (id) VALUES (1); INSERT INTO visits (id) VALUES (2)", "1 2", "orders.inserted visits.inserted"),
		kept("the second fails", "@1 | INSERT INTO visits (id) VALUES (2); INSERT INTO orders (id) VALUES (1)", "1", "orders.inserted", pg...),
	)
}

// TestOutsideBlocks: what cannot run in a transaction block, or means something
// else there, runs as the app wrote it.
func TestOutsideBlocks(t *testing.T) {
	check(t, []way{byExec},
		kept("VACUUM", "@1 | VACUUM", "1", "orders.inserted"),
		kept("CREATE INDEX CONCURRENTLY", "@1 | CREATE INDEX CONCURRENTLY notes ON orders (note) | DROP INDEX CONCURRENTLY notes", "1", "orders.inserted schema.changed", pg...),
		kept("LISTEN", "@1 | LISTEN x", "1", "orders.inserted", pg...),
		kept("PRAGMA", "@1 | PRAGMA foreign_keys = ON", "1", "orders.inserted", lite...),
		kept("refused in a block", "Begin | @1 | VACUUM | Commit", "", "", pg...),
	)
}

// TestCapturedEvent looks at what a captured statement tells.
func TestCapturedEvent(t *testing.T) {
	each(t, func(w *world) {
		var got []journal.Entry
		for _, step := range []struct {
			query  string
			args   []any
			action string
			target string
		}{
			{"INSERT INTO orders (id, note) VALUES (?, ?)", []any{7, "x"}, "orders.inserted", "7"},
			{"UPDATE orders SET note = ? WHERE id = ?", []any{"y", 7}, "orders.updated", "7"},
			{"UPDATE orders SET note = 'z' WHERE id = 7", nil, "orders.updated", "7"},
			{"UPDATE orders SET note = 'z'", nil, "orders.updated", ""},
			{"DELETE FROM orders WHERE id = ? AND note = ?", []any{7, "z"}, "orders.deleted", "7"},
		} {
			w.must(w.db.ExecContext(ctx(), w.e.Rebind(step.query), step.args...))
			entries := w.sink.got()
			if len(entries) != len(got)+1 {
				w.Fatalf("%s: %d entries, want one more than %d", step.query, len(entries), len(got))
			}
			got = entries
			e := got[len(got)-1]
			if e.Action != step.action || e.Target.ID != step.target || !e.Captured {
				w.Errorf("%s: action %s, target %+v; want %s, %q", step.query, e.Action, e.Target, step.action, step.target)
			}
			if text := fmt.Sprintf("%+v", e); strings.Contains(text, "note") {
				w.Errorf("%s: the event has a column's value: %s", step.query, text)
			}
		}
	})
}

// TestLoopIsOneEvent: the statements of a transaction that do the same are one
// event, whatever their number.
func TestLoopIsOneEvent(t *testing.T) {
	each(t, func(w *world) {
		tx := w.begin()
		for i := range 100 {
			w.must(tx.ExecContext(ctx(), w.e.Rebind("INSERT INTO visits (id) VALUES (?)"), i%2))
		}
		w.must(tx.Commit())
		total := int64(0)
		for _, e := range w.sink.got() {
			total += number(w, e, "rows")
		}
		if n := len(w.sink.got()); n > 2 || total != 100 {
			w.Errorf("%d events with %d rows in all, want at most one for each target, 100 rows", n, total)
		}
	})
}

// number reads a number of an entry's metadata.
func number(w *world, e journal.Entry, key string) int64 {
	w.Helper()
	n, ok := e.Metadata[key].(interface{ Int64() (int64, error) })
	if !ok {
		w.Fatalf("metadata %v has no number %q", e.Metadata, key)
	}
	v, err := n.Int64()
	w.must(err)
	return v
}

// TestAutocommitResult: results are the base driver's.
func TestAutocommitResult(t *testing.T) {
	each(t, func(w *world) {
		res, err := w.db.ExecContext(ctx(), "INSERT INTO orders (id) VALUES (5), (6)")
		w.must(err)
		bare, err := w.bare.ExecContext(ctx(), "INSERT INTO orders (id) VALUES (7), (8)")
		w.must(err)
		n, err := res.RowsAffected()
		w.must(err)
		if n != 2 {
			w.Errorf("%d rows affected, want 2", n)
		}
		id, err := res.LastInsertId()
		bareID, bareErr := bare.LastInsertId()
		if kind(err) != kind(bareErr) || (err == nil && bareID-id != 2) {
			w.Errorf("LastInsertId: %d, %v; bare: %d, %v", id, err, bareID, bareErr)
		}
	})
}

// TestAutocommitCancelled: a context that ends during the statement leaves
// neither row nor event, and a connection that works.
func TestAutocommitCancelled(t *testing.T) {
	each(t, func(w *world) {
		w.db.SetMaxOpenConns(1)
		w.must(w.db.PingContext(ctx()))
		lock, err := w.bare.BeginTx(ctx(), nil)
		w.must(err)
		w.must(lock.ExecContext(ctx(), "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE"))
		c, cancel := context.WithCancel(ctx())
		done := make(chan error)
		go func() {
			_, err := w.db.ExecContext(c, "INSERT INTO orders (id) VALUES (1)")
			done <- err
		}()
		w.waitForLock()
		cancel()
		if err := <-done; err == nil {
			w.Error("Exec says nil")
		}
		w.must(lock.Rollback())
		w.must(w.db.ExecContext(ctx(), "INSERT INTO orders (id) VALUES (2)"))
		w.want("2", "orders.inserted", "orders.inserted")
	}, pg...)
}

// waitForLock waits until a session of this database waits for a lock.
func (w *world) waitForLock() {
	w.Helper()
	w.within("a session that should wait for a lock", func() {
		for n := 0; n == 0; {
			w.must(w.bare.QueryRowContext(ctx(), `SELECT count(*) FROM pg_stat_activity
				WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&n))
		}
	})
}

// TestAutocommitReadOnlyDefault: a write that the bare driver's session refuses
// stays refused.
func TestAutocommitReadOnlyDefault(t *testing.T) {
	check(t, []way{byExec},
		kept("refused", "SET default_transaction_read_only = on | INSERT INTO orders (id) VALUES (1)", "", "", pg...),
		kept("isolation", "SET default_transaction_isolation = 'serializable' | INSERT INTO orders (id) VALUES (1)", "1", "orders.inserted", pg...),
	)
}

// TestAutocommitDuringTransaction has another connection in a transaction meanwhile.
func TestAutocommitDuringTransaction(t *testing.T) {
	each(t, func(w *world) {
		tx := w.begin()
		w.must(tx.ExecContext(ctx(), w.e.Rebind("INSERT INTO orders (id) VALUES (?)"), 1))
		other, err := sql.Open(w.name, w.dsn)
		w.must(err)
		defer other.Close()
		w.must(other.ExecContext(ctx(), w.e.Rebind("INSERT INTO orders (id) VALUES (?)"), 2))
		w.must(tx.Rollback())
		w.want("2", "orders.inserted", "orders.inserted")
	}, dbtest.PostgresCommitEngines()...)
}
