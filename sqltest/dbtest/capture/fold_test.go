package capture_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

const visitsTable = "; CREATE TABLE visits (day text)"

// TestFold: the statements of a transaction that do the same to the same share
// an event, which counts them.
func TestFold(t *testing.T) {
	each(t, ordersTable+visitsTable, func(w *world) {
		tx := w.begin()
		for range 3 {
			w.execOn(tx, "INSERT INTO visits (day) VALUES ('a'), ('b')")
		}
		w.execOn(tx, "INSERT INTO orders (id) VALUES (1)")
		w.execOn(tx, "UPDATE orders SET note = 'x' WHERE id = 1")
		w.execOn(tx, "UPDATE orders SET note = 'y' WHERE id = 1")
		w.execOn(tx, "UPDATE visits SET day = 'c'")
		w.execOn(tx, "DELETE FROM visits WHERE day = 'none'")
		w.execOn(tx, "INSERT INTO visits (day) VALUES ('d')")
		w.must(tx.Commit())
		w.want(
			"visits.inserted visits statements=4 rows=7",
			"orders.inserted orders#1 statements=1 rows=1",
			"orders.updated orders#1 statements=2 rows=2",
			"visits.updated visits statements=1 rows=6",
		)
	})
}

// TestFoldMixesWays: RETURNING counts as the rest does; one statement whose rows
// are not known makes the sum unknown.
func TestFoldMixesWays(t *testing.T) {
	each(t, visitsTable, func(w *world) {
		tx := w.begin()
		w.execOn(tx, "INSERT INTO visits (day) VALUES ('a')")
		w.must(drain(tx.QueryContext(ctx(), "INSERT INTO visits (day) VALUES ('b'), ('c') RETURNING day")))
		w.must(drain(tx.QueryContext(ctx(), "UPDATE visits SET day = 'd' WHERE day = 'none' RETURNING day")))
		w.must(tx.Commit())
		w.want("visits.inserted visits statements=2 rows=3")

		tx = w.begin()
		w.execOn(tx, "INSERT INTO visits (day) VALUES ('a')")
		w.must(drain(tx.QueryContext(ctx(), "INSERT INTO visits (day) VALUES ('b')")))
		w.must(tx.Commit())
		w.want("visits.inserted visits statements=2")
	})
}

// TestFoldEndsWithTheTransaction: the next one has events of its own.
func TestFoldEndsWithTheTransaction(t *testing.T) {
	each(t, visitsTable, func(w *world) {
		for range 2 {
			tx := w.begin()
			w.execOn(tx, "INSERT INTO visits (day) VALUES ('a')")
			w.must(tx.Commit())
		}
		w.exec("INSERT INTO visits (day) VALUES ('a')")
		one := "visits.inserted visits statements=1 rows=1"
		w.want(one, one, one)
	})
}

// TestFoldByActor: what different actors do is not folded.
func TestFoldByActor(t *testing.T) {
	each(t, visitsTable, func(w *world) {
		tx := w.begin()
		for _, id := range []string{"7", "8", "7"} {
			c := hooks.WithActor(ctx(), hooks.Actor{Type: hooks.User, ID: id})
			w.must(tx.ExecContext(c, "INSERT INTO visits (day) VALUES ('a')"))
		}
		w.must(tx.Commit())
		got := ""
		for _, e := range w.events() {
			got += fmt.Sprintf("%s:%v ", e.Actor.ID, e.Metadata["rows"])
		}
		if got != "7:2 8:1 " {
			w.Errorf("rows by actor %q, want 7:2 8:1", got)
		}
	})
}

// TestLoop: a loop of a thousand inserts, each with a key of its own, makes a
// bounded number of events, which lose no row.
func TestLoop(t *testing.T) {
	const inserts = 1000
	each(t, ordersTable, func(w *world) {
		tx := w.begin()
		stmt, err := tx.PrepareContext(ctx(), w.e.Rebind("INSERT INTO orders (id) VALUES (?)"))
		w.must(err)
		for i := range inserts {
			w.must(stmt.ExecContext(ctx(), i))
		}
		w.must(stmt.Close())
		w.must(tx.Commit())
		events := w.events()
		rows, last := 0, 0
		for _, e := range events {
			last, err = strconv.Atoi(fmt.Sprint(e.Metadata["rows"]))
			w.must(err)
			rows += last
		}
		if len(events) > 101 || len(events) < 2 || rows != inserts {
			w.Errorf("%d events of %d rows, want at most 101 of %d", len(events), rows, inserts)
		}
		if e := events[len(events)-1]; e.Target.ID != "" || last != inserts-100 {
			w.Errorf("the last event has target %+v and %d rows, want no ID and the other %d", e.Target, last, inserts-100)
		}
	})
}

// TestFoldAndSavepoints: ROLLBACK TO takes back exactly what came after the
// savepoint, also of what is counted in one event.
func TestFoldAndSavepoints(t *testing.T) {
	insert := "INSERT INTO visits (day) VALUES ('a')"
	one, two := "visits.inserted visits statements=1 rows=1", "visits.inserted visits statements=2 rows=2"
	cases := []struct {
		name  string
		steps []string
		rows  int
		want  []string
	}{
		{"rolled back", []string{insert, "SAVEPOINT s", insert, insert, "ROLLBACK TO s"}, 1, []string{one}},
		{"before and after", []string{insert, "SAVEPOINT s", insert, "ROLLBACK TO s", insert}, 2, []string{one, one}},
		{"released", []string{insert, "SAVEPOINT s", insert, "RELEASE s", insert}, 3, []string{one, two}},
		{"inner only", []string{insert, "SAVEPOINT s", insert, "SAVEPOINT t", insert, insert, "ROLLBACK TO t", "RELEASE s"}, 2, []string{one, one}},
		{"outer", []string{insert, "SAVEPOINT s", insert, "SAVEPOINT t", insert, "ROLLBACK TO s"}, 1, []string{one}},
		{"name used again", []string{"SAVEPOINT s", insert, "SAVEPOINT s", insert, "ROLLBACK TO s", "ROLLBACK TO s"}, 1, []string{one}},
		{"name used again, released", []string{"SAVEPOINT s", insert, "SAVEPOINT s", insert, "RELEASE s", "ROLLBACK TO s"}, 0, nil},
		{"twice", []string{"SAVEPOINT s", insert, "ROLLBACK TO s", insert, "ROLLBACK TO s", insert, insert}, 2, []string{two}},
		{"released, then rolled back further out", []string{"SAVEPOINT s", "SAVEPOINT t", insert, "RELEASE t", insert, "ROLLBACK TO s", insert}, 1, []string{one}},
		// After RELEASE, what is counted must not reach across an older savepoint.
		{"released between", []string{"SAVEPOINT s", insert, "SAVEPOINT t", insert, "RELEASE t", insert, "SAVEPOINT t", insert, "ROLLBACK TO t"}, 3, nil},
		{"everything", []string{"SAVEPOINT s", insert, "UPDATE visits SET day = 'b'", "ROLLBACK TO s"}, 0, nil},
	}
	each(t, visitsTable, func(w *world) {
		for _, c := range cases {
			w.sub(c.name, func(w *world) {
				w.setUp("DELETE FROM visits")
				tx := w.begin()
				for _, step := range c.steps {
					w.execOn(tx, step)
				}
				w.must(tx.Commit())
				w.wantCount("visits", c.rows)
				if c.want != nil || c.rows == 0 {
					w.want(c.want...)
				} else {
					w.wantRows(c.rows)
				}
			})
		}
	})
}

// wantRows asks that the new events count so many rows in all.
func (w *world) wantRows(want int) {
	w.Helper()
	rows := 0
	for _, e := range w.events() {
		n, err := strconv.Atoi(fmt.Sprint(e.Metadata["rows"]))
		w.must(err)
		rows += n
	}
	if rows != want {
		w.Errorf("the events count %d rows, want %d", rows, want)
	}
}

// TestTooManyTargets: a transaction that reaches its limit of events goes on,
// and what no longer has one is counted.
func TestTooManyTargets(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, ordersTable+visitsTable, driver.Limits(2, 1<<20))
		tx := w.begin()
		w.execOn(tx, "INSERT INTO orders (id) VALUES (1)")
		w.execOn(tx, "INSERT INTO orders (id) VALUES (2)")
		w.execOn(tx, "INSERT INTO visits (day) VALUES ('a')")
		w.execOn(tx, "UPDATE orders SET note = 'x' WHERE id = 1")
		w.must(tx.Commit())
		w.wantCount("orders", 2)
		w.want("orders.inserted orders#1 statements=1 rows=1", "orders.inserted orders#2 statements=1 rows=1")
		if n := w.told.total(hooks.NoticeUncaptured); n != 2 {
			w.Errorf("%d statements were told as uncaptured, want 2", n)
		}
	})
}

// TestConditional: of a statement with IF EXISTS the server does not say whether
// it has changed anything; of one without, together with it, it is plain.
func TestConditional(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		tx := w.begin()
		for _, query := range []string{
			"DROP TABLE IF EXISTS extras", "CREATE TABLE extras (id bigint)", "DROP TABLE extras", "DROP TABLE IF EXISTS extras",
		} {
			w.must(tx.ExecContext(ctx(), query))
		}
		w.must(tx.Commit())
		w.want(
			"schema.changed schema#extras statements=1 conditional=true",
			"schema.changed schema#extras statements=1",
			"schema.changed schema#extras statements=2",
		)
	})
}

// TestFoldKeepsTheOrder: the last event about a row says what was done to it last.
func TestFoldKeepsTheOrder(t *testing.T) {
	one := func(event string) string { return event + " statements=1 rows=1" }
	for _, c := range []struct {
		name  string
		steps []string
		want  []string
	}{
		{
			"one row",
			[]string{"INSERT INTO orders (id) VALUES (7)", "DELETE FROM orders WHERE id = 7", "INSERT INTO orders (id) VALUES (7)"},
			[]string{one("orders.inserted orders#7"), one("orders.deleted orders#7"), one("orders.inserted orders#7")},
		},
		{
			"no key",
			[]string{"INSERT INTO visits (day) VALUES ('a')", "DELETE FROM visits", "INSERT INTO visits (day) VALUES ('a')"},
			[]string{one("visits.inserted visits"), one("visits.deleted visits"), one("visits.inserted visits")},
		},
		{
			"another row",
			[]string{"INSERT INTO orders (id) VALUES (7)", "INSERT INTO orders (id) VALUES (8)", "UPDATE orders SET note = 'x' WHERE id = 7", "DELETE FROM orders WHERE id = 8", "UPDATE orders SET note = 'y' WHERE id = 7"},
			[]string{one("orders.inserted orders#7"), one("orders.inserted orders#8"), "orders.updated orders#7 statements=2 rows=2", one("orders.deleted orders#8")},
		},
		{
			"another key",
			[]string{"INSERT INTO orders (id) VALUES (7)", "UPDATE orders SET id = 8 WHERE id = 7", "INSERT INTO orders (id) VALUES (7)", "UPDATE orders SET note = 'x' WHERE id = 8"},
			[]string{one("orders.inserted orders#7"), one("orders.updated orders#7"), one("orders.inserted orders#7"), one("orders.updated orders#8")},
		},
		{
			"the table made anew",
			[]string{"INSERT INTO visits (day) VALUES ('a')", "DROP TABLE visits", "CREATE TABLE visits (day text)", "INSERT INTO visits (day) VALUES ('a')"},
			[]string{one("visits.inserted visits"), "schema.changed schema#visits statements=1", "schema.changed schema#visits statements=1", one("visits.inserted visits")},
		},
		{
			"two tables",
			[]string{"INSERT INTO visits (day) VALUES ('a')", "DELETE FROM orders WHERE id = 9", "INSERT INTO orders (id) VALUES (7)", "INSERT INTO visits (day) VALUES ('a')"},
			[]string{"visits.inserted visits statements=2 rows=2", one("orders.inserted orders#7")},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, ordersTable+visitsTable, func(w *world) {
				tx := w.begin()
				for _, step := range c.steps {
					w.execOn(tx, step)
				}
				w.must(tx.Commit())
				w.want(c.want...)
			})
		})
	}
}

// TestFoldAndCascades: a DELETE may take other rows of its table along.
func TestFoldAndCascades(t *testing.T) {
	each(t, "", func(w *world) {
		if w.e.Dialect == hooks.SQLite {
			w.db.SetMaxOpenConns(1)
			w.exec("PRAGMA foreign_keys = on")
		}
		w.certain([]certain{{
			"itself", "CREATE TABLE % (id bigint PRIMARY KEY, parent bigint REFERENCES % ON DELETE CASCADE); INSERT INTO % (id) VALUES (1), (3), (4)",
			"INSERT INTO % (id, parent) VALUES (2, 1)\nDELETE FROM % WHERE id = 1\nINSERT INTO % (id) VALUES (2)\nDELETE FROM % WHERE id = 3",
			"%.inserted %#2" + one + "\n%.deleted %#1" + one + "\n%.inserted %#2" + one + "\n%.deleted %#3" + one,
		}, {
			"no action", "CREATE TABLE % (id bigint PRIMARY KEY, parent bigint REFERENCES %); INSERT INTO % (id) VALUES (1), (3)",
			"DELETE FROM % WHERE id = 3\nINSERT INTO % (id) VALUES (2)\nDELETE FROM % WHERE id = 1\nINSERT INTO % (id) VALUES (3)",
			"%.deleted %#3" + one + "\n%.inserted %#2" + one + "\n%.deleted %#1" + one + "\n%.inserted %#3" + one,
		}})
	})
}

// TestFoldAndRecorded: what an app records of a row keeps its place among what was
// done to that row.
func TestFoldAndRecorded(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		tx := w.begin()
		w.execOn(tx, "INSERT INTO orders (id) VALUES (7)")
		w.execOn(tx, "UPDATE orders SET note = 'x' WHERE id = 7")
		w.record(tx, "7")
		w.execOn(tx, "UPDATE orders SET note = 'y' WHERE id = 7")
		w.must(tx.Commit())
		w.want("orders.inserted orders#7 statements=1 rows=1", "orders.updated orders#7 statements=1 rows=1", "thing.noted thing#7",
			"orders.updated orders#7 statements=1 rows=1")
	})
}

// TestReturnedKeysKeepTheOrder: a row whose key is returned disturbs only what is
// done to that row.
func TestReturnedKeysKeepTheOrder(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, tickets(e))
		w.exec("INSERT INTO tickets (number) VALUES (1)")
		w.events()
		tx := w.begin()
		for range 2 {
			w.execOn(tx, "UPDATE tickets SET number = number + 1 WHERE id = 1")
			w.must(drain(tx.QueryContext(ctx(), "INSERT INTO tickets (number) VALUES (1) RETURNING id")))
		}
		w.execOn(tx, "DELETE FROM tickets WHERE id = 2")
		w.execOn(tx, "DELETE FROM tickets WHERE id = 3")
		w.must(tx.Commit())
		w.want("tickets.updated tickets#1 statements=2 rows=2", "tickets.inserted tickets#2 statements=1 rows=1", "tickets.inserted tickets#3 statements=1 rows=1",
			"tickets.deleted tickets#2 statements=1 rows=1", "tickets.deleted tickets#3 statements=1 rows=1")
	})
}

// TestNoDDL: what changes the schema can be left out.
func TestNoDDL(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, ordersTable, driver.Capture(driver.AllTables().NoDDL()))
		w.exec("CREATE TABLE IF NOT EXISTS extras (id bigint PRIMARY KEY)")
		w.exec("ALTER TABLE extras ADD more int")
		w.exec("INSERT INTO extras (id) VALUES (1)")
		w.exec("DROP TABLE extras")
		w.want("extras.inserted extras#1 statements=1 rows=1")
	})
}
