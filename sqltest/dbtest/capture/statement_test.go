package capture_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

const ordersTable = "CREATE TABLE orders (id bigint PRIMARY KEY, note text)"

// preparer is what a *sql.DB, *sql.Tx and *sql.Conn share.
type preparer interface {
	hooks.Handle
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// way is how a statement gets to the driver.
type way struct {
	name    string
	queries bool
	run     func(h preparer, query string, args ...any) error
}

var ways = []way{
	{"Exec", false, func(h preparer, query string, args ...any) error {
		_, err := h.ExecContext(ctx(), query, args...)
		return err
	}},
	{"Query", true, func(h preparer, query string, args ...any) error {
		return drain(h.QueryContext(ctx(), query, args...))
	}},
	{"prepared Exec", false, func(h preparer, query string, args ...any) error {
		return prepared(h, query, func(s *sql.Stmt) error {
			_, err := s.ExecContext(ctx(), args...)
			return err
		})
	}},
	{"prepared Query", true, func(h preparer, query string, args ...any) error {
		return prepared(h, query, func(s *sql.Stmt) error { return drain(s.QueryContext(ctx(), args...)) })
	}},
}

// drain reads to the end, where some errors come.
func drain(rows *sql.Rows, err error) error {
	if err != nil {
		return err
	}
	for rows.Next() {
		continue
	}
	return errors.Join(rows.Err(), rows.Close())
}

func prepared(h preparer, query string, f func(*sql.Stmt) error) error {
	s, err := h.PrepareContext(ctx(), query)
	if err != nil {
		return err
	}
	return errors.Join(f(s), s.Close())
}

// statements are executed one after the other.
var statements = []struct {
	query   string
	args    []any
	event   string // of Exec
	queried string // of Query, if another one: what returns no rows is not counted there
	engines []dbtest.Engine
}{
	{query: "INSERT INTO orders (id, note) VALUES (?, ?)", args: []any{1, "x"}, event: "orders.inserted orders#1 statements=1 rows=1", queried: "orders.inserted orders#1 statements=1 conditional=true"},
	{query: "INSERT INTO orders (id) VALUES (2), (3), (4)", event: "orders.inserted orders statements=1 rows=3", queried: "orders.inserted orders statements=1 conditional=true"},
	{query: "INSERT INTO orders (id) VALUES (?) RETURNING id", args: []any{5}, event: "orders.inserted orders#5 statements=1 rows=1"},
	{query: "INSERT INTO orders (id) SELECT id + 10 FROM orders RETURNING id, note", event: "orders.inserted orders statements=1 rows=5"},
	{query: "UPDATE orders SET note = ? WHERE id = ?", args: []any{"y", 1}, event: "orders.updated orders#1 statements=1 rows=1", queried: "orders.updated orders#1 statements=1 conditional=true"},
	{query: "UPDATE orders SET note = 'z' WHERE id > 10 RETURNING id", event: "orders.updated orders statements=1 rows=5"},
	{query: "DELETE FROM orders WHERE id IN (11, 12, 13)", event: "orders.deleted orders statements=1 rows=3", queried: "orders.deleted orders statements=1 conditional=true"},
	{query: "DELETE FROM orders WHERE id = ? RETURNING note", args: []any{14}, event: "orders.deleted orders#14 statements=1 rows=1"},
	{query: "INSERT INTO orders (id, note) VALUES (1, 'again') ON CONFLICT (id) DO UPDATE SET note = excluded.note", event: "orders.upserted orders#1 statements=1 rows=1", queried: "orders.upserted orders#1 statements=1 conditional=true"},
	{query: "INSERT INTO orders (id, note) VALUES (1, 'again'), (20, 'new') ON CONFLICT (id) DO UPDATE SET note = excluded.note RETURNING id", event: "orders.upserted orders statements=1 rows=2"},
	{query: "INSERT INTO orders (id) VALUES (1), (21) ON CONFLICT DO NOTHING RETURNING id", event: "orders.inserted orders statements=1 rows=1", queried: "orders.inserted orders#21 statements=1 rows=1"},
	{query: "REPLACE INTO orders (id, note) VALUES (1, 'r')", event: "orders.upserted orders#1 statements=1 rows=1", queried: "orders.upserted orders#1 statements=1 conditional=true", engines: lite},
	{query: "INSERT OR REPLACE INTO orders (id, note) VALUES (1, 'r')", event: "orders.upserted orders#1 statements=1 rows=1", queried: "orders.upserted orders#1 statements=1 conditional=true", engines: lite},
	{query: "WITH n AS (SELECT 30 AS id) INSERT INTO orders (id) SELECT id FROM n", event: "orders.inserted orders statements=1 rows=1", queried: "orders.inserted orders statements=1 conditional=true"},
	{query: "WITH n AS (SELECT 30 AS id) UPDATE orders SET note = 'w' WHERE id IN (SELECT id FROM n)", event: "orders.updated orders statements=1 rows=1", queried: "orders.updated orders statements=1 conditional=true"},
	{query: "TRUNCATE orders", event: "orders.truncated orders statements=1", engines: pg},
	{query: "TRUNCATE TABLE ONLY orders RESTART IDENTITY", event: "orders.truncated orders statements=1", engines: pg},
	{query: "CREATE TABLE extras (id bigint)", event: "schema.changed schema#extras statements=1"},
	{query: "ALTER TABLE extras ADD COLUMN note text", event: "schema.changed schema#extras statements=1"},
	{query: "CREATE TABLE IF NOT EXISTS extras (id bigint)", event: "schema.changed schema#extras statements=1 conditional=true"},
	{query: "CREATE INDEX extras_note ON extras (note)", event: "schema.changed schema#extras_note statements=1"},
	{query: "CREATE VIEW notes AS SELECT note FROM extras", event: "schema.changed schema#notes statements=1"},
	{query: "DROP VIEW notes", event: "schema.changed schema#notes statements=1"},
	{query: "DROP TABLE extras", event: "schema.changed schema#extras statements=1"},
	{query: "DROP TABLE IF EXISTS extras", event: "schema.changed schema#extras statements=1 conditional=true"},
	{query: "GRANT SELECT ON orders TO PUBLIC", event: "schema.changed schema#orders statements=1", engines: pg},
	{query: "COMMENT ON TABLE orders IS 'x'", event: "schema.changed schema#orders statements=1", engines: pg},
}

// TestStatements: each statement that writes is an event, however it is
// executed, in autocommit and in a transaction.
func TestStatements(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		for _, way := range ways {
			w.sub(way.name, func(w *world) {
				w.setUp("DELETE FROM orders")
				w.runStatements(way, func(run func(preparer)) { run(w.db) })
			})
			w.sub(way.name+" in a transaction", func(w *world) {
				w.setUp("DELETE FROM orders")
				w.runStatements(way, func(run func(preparer)) {
					tx := w.begin()
					run(tx)
					w.must(tx.Commit())
				})
			})
		}
	})
}

func (w *world) runStatements(by way, inside func(func(preparer))) {
	w.Helper()
	for _, s := range statements {
		if !w.speaks(s.engines) {
			continue
		}
		inside(func(h preparer) {
			if err := by.run(h, w.e.Rebind(s.query), s.args...); err != nil {
				w.Fatalf("%s: %v", s.query, err)
			}
		})
		if by.queries && s.queried != "" {
			w.wantAfter(s.query, s.queried)
		} else {
			w.wantAfter(s.query, s.event)
		}
	}
}

// speaks reports whether a case for these engines, or for all, is for this one.
func (w *world) speaks(engines []dbtest.Engine) bool {
	return engines == nil || engines[0].Dialect == w.e.Dialect
}

// TestNoEvent: what changes nothing is no event.
func TestNoEvent(t *testing.T) {
	each(t, ordersTable+"; INSERT INTO orders (id) VALUES (1)", func(w *world) {
		for _, way := range ways {
			w.sub(way.name, func(w *world) { w.runNothing(way) })
		}
	})
}

func (w *world) runNothing(by way) {
	w.Helper()
	queries := []string{
		"SELECT id FROM orders",
		"WITH n AS (SELECT 1 AS id) SELECT id FROM n",
		"VALUES (1), (2)",
		"EXPLAIN DELETE FROM orders",
		"UPDATE orders SET note = 'x' WHERE id = 99 RETURNING id",
		"DELETE FROM orders WHERE id = 99 RETURNING id",
		"INSERT INTO orders (id) VALUES (1) ON CONFLICT DO NOTHING RETURNING id",
		"INSERT INTO orders (id) SELECT id FROM orders WHERE false RETURNING id",
	}
	if !by.queries {
		queries = append(queries, "UPDATE orders SET note = 'x' WHERE id = 99", "DELETE FROM orders WHERE id = 99")
	}
	for _, query := range queries {
		if err := by.run(w.db, query); err != nil {
			w.Fatalf("%s: %v", query, err)
		}
		w.wantAfter(query)
	}
	if err := by.run(w.db, "INSERT INTO orders (id) VALUES (1)"); err == nil {
		w.Error("an id is taken twice")
	}
	w.want()
}

// TestReturningIsServed: the app gets its rows, all or as many as it wants; the
// event counts those that were changed.
func TestReturningIsServed(t *testing.T) {
	const query = "INSERT INTO orders (id, note) VALUES (1, 'a'), (2, 'b'), (3, 'c') RETURNING id, note"
	t.Run("all", func(t *testing.T) {
		each(t, ordersTable, func(w *world) {
			rows, err := w.db.QueryContext(ctx(), query)
			w.must(err)
			defer rows.Close()
			got := ""
			for rows.Next() {
				var id, note string
				w.must(rows.Scan(&id, &note))
				got += id + note
			}
			w.must(rows.Err())
			if got != "1a2b3c" {
				w.Errorf("rows %q, want 1a2b3c", got)
			}
			w.want("orders.inserted orders statements=1 rows=3")
		})
	})
	t.Run("the first", func(t *testing.T) {
		each(t, ordersTable, func(w *world) {
			var id int
			w.must(w.db.QueryRowContext(ctx(), "INSERT INTO orders (id) VALUES (1), (2) RETURNING id").Scan(&id))
			w.wantCount("orders", 2)
			w.want("orders.inserted orders statements=1 rows=2")
		})
	})
	t.Run("none", func(t *testing.T) {
		each(t, ordersTable, func(w *world) {
			err := w.db.QueryRowContext(ctx(), "UPDATE orders SET note = 'x' RETURNING id").Scan(new(int))
			if !errors.Is(err, sql.ErrNoRows) {
				w.Errorf("error %v, want sql.ErrNoRows", err)
			}
			w.want()
		})
	})
	t.Run("the first, in a transaction", func(t *testing.T) {
		each(t, ordersTable, func(w *world) {
			tx := w.begin()
			w.must(tx.QueryRowContext(ctx(), "INSERT INTO orders (id) VALUES (1), (2) RETURNING id").Scan(new(int)))
			w.must(tx.Commit())
			w.want("orders.inserted orders statements=1 rows=2")
		})
	})
}
