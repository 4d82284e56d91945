package capture_test

import (
	"fmt"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// tickets have a key that the database makes.
func tickets(e dbtest.Engine) string {
	if e.Dialect == hooks.SQLite {
		return "CREATE TABLE tickets (id integer PRIMARY KEY, number bigint)"
	}
	return "CREATE TABLE tickets (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, number bigint)"
}

// TestReturnedKey: the key that the database made is the target's ID where a
// single row tells it, under its own name.
func TestReturnedKey(t *testing.T) {
	const insert = "INSERT INTO tickets (number) VALUES (77) RETURNING "
	rows := []struct{ name, query, event string }{
		{"id", insert + "id", "tickets.inserted tickets#1 statements=1 rows=1"},
		{"among others", insert + "number, tickets.id", "tickets.inserted tickets#1 statements=1 rows=1"},
		{"all", insert + "*", "tickets.inserted tickets#1 statements=1 rows=1"},
		{"quoted", insert + `"id", (SELECT max(t.number) FROM tickets AS t)`, "tickets.inserted tickets#1 statements=1 rows=1"},
		{"another", insert + "number", "tickets.inserted tickets statements=1 rows=1"},
		{"another of its name", insert + "number AS id", "tickets.inserted tickets statements=1 rows=1"},
		{"both", insert + "id, number AS id", "tickets.inserted tickets statements=1 rows=1"},
		{"in an expression", insert + "id + 5 AS id", "tickets.inserted tickets statements=1 rows=1"},
		{"two rows", "INSERT INTO tickets (number) VALUES (77), (78) RETURNING id", "tickets.inserted tickets statements=1 rows=2"},
		{"no row", "INSERT INTO tickets (number) SELECT 1 WHERE false RETURNING id", ""},
		{"upsert", "INSERT INTO tickets (number) VALUES (77) ON CONFLICT (id) DO UPDATE SET number = 1 RETURNING id", "tickets.upserted tickets#1 statements=1 rows=1"},
	}
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		for _, row := range rows {
			for _, way := range []string{"alone", "in a transaction", "unread"} {
				t.Run(row.name+"/"+way, func(t *testing.T) {
					w := newWorld(t, e, tickets(e))
					var want []string
					if row.event != "" {
						want = append(want, row.event)
					}
					switch way {
					case "alone":
						w.must(drain(w.db.QueryContext(ctx(), row.query)))
					case "in a transaction":
						tx := w.begin()
						w.must(drain(tx.QueryContext(ctx(), row.query)))
						w.must(tx.Commit())
					default:
						rows, err := w.db.QueryContext(ctx(), row.query)
						w.must(err)
						w.must(rows.Close())
						w.must(rows.Err())
					}
					w.want(want...)
				})
			}
		}
	})
}

// TestReturnedKeys: each row has its event, and only what a transaction keeps.
func TestReturnedKeys(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, tickets(e))
		tx := w.begin()
		insert := func() {
			w.must(tx.QueryRowContext(ctx(), "INSERT INTO tickets (number) VALUES (1) RETURNING id").Scan(new(int64)))
		}
		insert()
		w.execOn(tx, "INSERT INTO tickets (number) VALUES (2)")
		w.execOn(tx, "SAVEPOINT s")
		insert()
		w.execOn(tx, "ROLLBACK TO SAVEPOINT s")
		w.execOn(tx, "UPDATE tickets SET number = 3 WHERE id = 1")
		w.must(tx.Commit())
		w.want(
			"tickets.inserted tickets#1 statements=1 rows=1",
			"tickets.inserted tickets statements=1 rows=1",
			"tickets.updated tickets#1 statements=1 rows=1",
		)
	})
}

// TestReturnedKeysBeyond: what has no event of its own is in that of the rest.
func TestReturnedKeysBeyond(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, tickets(e))
		tx := w.begin()
		for range 103 {
			w.must(tx.QueryRowContext(ctx(), "INSERT INTO tickets (number) VALUES (1) RETURNING id").Scan(new(int64)))
		}
		w.must(tx.Commit())
		entries := w.events()
		if len(entries) != 101 {
			t.Fatalf("%d events", len(entries))
		}
		own := 0
		for _, e := range entries {
			if e.Target.ID != "" {
				own++
				continue
			}
			if got := fmt.Sprintf("%v %v", e.Metadata["rows"], e.Metadata["statements"]); got != "3 3" {
				t.Errorf("the rest has %s rows and statements", got)
			}
		}
		if own != 100 {
			t.Errorf("%d events of their own", own)
		}
	}, dbtest.PGX, dbtest.SQLite)
}

// TestReturningExecuted: these drivers count what a statement with RETURNING changes,
// though its rows are not read.
func TestReturningExecuted(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		queries := []string{
			"INSERT INTO orders (id) VALUES (1), (2), (3) RETURNING id", "INSERT INTO orders (id) VALUES (4) RETURNING id", "UPDATE orders SET note = 'x' RETURNING id",
			"UPDATE orders SET note = 'x' WHERE id = 9 RETURNING id", "DELETE FROM orders WHERE id > 2 RETURNING id",
		}
		want := []string{"orders.inserted orders statements=1 rows=3", "orders.inserted orders#4" + row, "orders.updated orders statements=1 rows=4", "orders.deleted orders statements=1 rows=2"}
		for _, query := range queries {
			w.exec(query)
		}
		w.want(want...)
		w.setUp("DELETE FROM orders")
		tx := w.begin()
		for _, query := range queries {
			st, err := tx.PrepareContext(ctx(), query)
			w.must(err)
			w.must(st.ExecContext(ctx()))
			w.must(st.Close())
		}
		w.must(tx.Commit())
		w.want(want...)
	})
}
