package contract_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

const updateReturning = "UPDATE orders SET note = 'x' WHERE id < ? RETURNING id, note"

func (w *world) orders(n int) {
	w.Helper()
	for i := range n {
		w.must(w.bare.ExecContext(ctx(), w.e.Rebind("INSERT INTO orders (id) VALUES (?)"), i))
	}
}

func TestReturning(t *testing.T) {
	check(t, []way{byQuery},
		kept("insert", "INSERT INTO orders (id) VALUES (1) RETURNING id", "1", "orders.inserted"),
		kept("no row", "UPDATE orders SET note = 'x' WHERE id = 99 RETURNING id", "", ""),
		kept("a conflict", "@1 | INSERT INTO orders (id) VALUES (1) RETURNING id", "1", "orders.inserted"),
		kept("fails at its second row", "@1 | @2 | UPDATE orders SET note = 'x' RETURNING 1 / (id - 2)", "1 2", "orders.inserted orders.inserted", pg...),
		kept("in a transaction", "Begin | INSERT INTO orders (id) VALUES (1) RETURNING id | Commit", "1", "orders.inserted"),
		kept("in a transaction, rolled back", "Begin | INSERT INTO orders (id) VALUES (1) RETURNING id | Rollback", "", ""),
		kept("by Exec", "INSERT INTO orders (id) VALUES (1) RETURNING id", "1", "orders.inserted"),
	)
}

// TestReturningRows compares the rows, and what they say of themselves, with
// those of the bare driver.
func TestReturningRows(t *testing.T) {
	forEach(t, func(t *testing.T, e dbtest.Engine) {
		for _, limit := range []int{0, 2, 10_000} {
			t.Run(fmt.Sprint("drained up to ", limit), func(t *testing.T) {
				w := newWorld(t, e, setup{driver: []driver.Option{driver.DrainRows(limit)}})
				w.orders(5)
				got := w.describe(w.db)
				if want := w.describe(w.bare); got != want {
					t.Errorf("rows\n%s\nand on the bare driver\n%s", got, want)
				}
				w.want("0 1 2 3 4", "orders.updated", "orders.updated")
			})
		}
	})
}

// describe runs updateReturning and tells all about its rows.
func (w *world) describe(db queries) string {
	w.Helper()
	rows, err := db.QueryContext(ctx(), w.e.Rebind(updateReturning), 5)
	w.must(err)
	defer rows.Close()
	var b strings.Builder
	types, err := rows.ColumnTypes()
	w.must(err)
	for _, ct := range types {
		fmt.Fprintln(&b, ct.Name(), ct.DatabaseTypeName(), ct.ScanType())
	}
	for rows.Next() {
		var id int64
		var note string
		w.must(rows.Scan(&id, &note))
		fmt.Fprintln(&b, id, note)
	}
	w.must(rows.Err())
	return b.String()
}

// TestReturningDoesNotBlock: with the rows of an autocommit statement open, the
// app changes the same row on another connection. Bare drivers let it.
func TestReturningDoesNotBlock(t *testing.T) {
	each(t, func(w *world) {
		w.orders(2)
		rows, err := w.db.QueryContext(ctx(), w.e.Rebind(updateReturning), 2)
		w.must(err)
		defer rows.Close()
		w.want("0 1", "orders.updated", "orders.updated")
		w.within("the second update", func() {
			w.must(w.db.ExecContext(ctx(), "UPDATE orders SET note = 'y' WHERE id = 1"))
		})
		n := 0
		for rows.Next() {
			n++
		}
		w.must(rows.Err())
		if n != 2 {
			w.Errorf("%d rows, want 2", n)
		}
		w.want("0 1", "orders.updated orders.updated", "orders.updated orders.updated")
	}, pg...)
}

// TestReturningScanOfOne is what apps do most.
func TestReturningScanOfOne(t *testing.T) {
	each(t, func(w *world) {
		w.db.SetMaxOpenConns(1)
		for id := range 3 {
			var got int
			w.must(w.db.QueryRowContext(ctx(), w.e.Rebind("INSERT INTO orders (id) VALUES (?) RETURNING id"), id).Scan(&got))
			if got != id {
				w.Errorf("returned %d, want %d", got, id)
			}
		}
		w.want("0 1 2", "orders.inserted orders.inserted orders.inserted", "orders.inserted orders.inserted orders.inserted")
	})
}

// TestReturningClosedEarly: the app reads one of the rows and closes.
func TestReturningClosedEarly(t *testing.T) {
	each(t, func(w *world) {
		w.db.SetMaxOpenConns(1)
		w.orders(5)
		rows, err := w.db.QueryContext(ctx(), w.e.Rebind(updateReturning), 5)
		w.must(err)
		if !rows.Next() {
			w.Fatal("no row", rows.Err())
		}
		w.must(rows.Close())
		w.must(rows.Err())
		w.want("0 1 2 3 4", "orders.updated", "orders.updated")
		if got := w.list("SELECT count(*) FROM orders WHERE note = 'x'"); got != "5" {
			w.Errorf("%s rows were updated, want 5", got)
		}
		w.must(w.db.ExecContext(ctx(), "DELETE FROM orders WHERE id = 0"))
		w.want("1 2 3 4", "orders.updated orders.deleted", "orders.updated orders.deleted")
	})
}

// TestReturningRefused: the error of the COMMIT reaches the app, after the last
// row.
func TestReturningRefused(t *testing.T) {
	each(t, func(w *world) {
		w.breakJournal()
		w.orders(1)
		err := func() error {
			rows, err := w.db.QueryContext(ctx(), w.e.Rebind(updateReturning), 1)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				continue
			}
			return rows.Err()
		}()
		if err == nil {
			w.Error("no error, though the event could not be written")
		}
		if got := w.list("SELECT count(*) FROM orders WHERE note = 'x'"); got != "0" {
			w.Errorf("%s rows were updated, want none", got)
		}
	})
}
