package driver_test

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"
	"testing"

	adriver "github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

// Rows whose columns are forgotten with the last of them, and whose bytes are
// used again, reach the app as the bare driver's do.
func TestForgottenRows(t *testing.T) {
	for _, dialect := range []hooks.Dialect{hooks.Postgres, hooks.SQLite} {
		for _, limit := range []int{0, 1, 2, 10} {
			fake := sqltest.NewFakeOf(sqltest.Modern, dialect)
			fake.Answer("INSERT", sqltest.Rows([]string{"id", "note"},
				[]driver.Value{int64(7), []byte("a")}, []driver.Value{int64(8), []byte("b")}))
			db := open(t, fake, &spy{}, adriver.WithDialect(dialect), adriver.Capture(adriver.AllTables()), adriver.DrainRows(limit))
			rows, err := db.QueryContext(context.Background(), "INSERT INTO orders VALUES (7), (8) RETURNING id, note")
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			got := ""
			for rows.Next() {
				var id int
				var note string
				if err := rows.Scan(&id, &note); err != nil {
					t.Errorf("%s, drained up to %d: %v", dialect, limit, err)
				}
				names, err := rows.Columns()
				if err != nil || strings.Join(names, " ") != "id note" {
					t.Errorf("%s, drained up to %d: columns %q, %v", dialect, limit, names, err)
				}
				got += fmt.Sprint(id, note, " ")
			}
			if err := rows.Err(); err != nil || got != "7a 8b " {
				t.Errorf("%s, drained up to %d: rows %q, %v", dialect, limit, got, err)
			}
		}
	}
}

// The arguments of a call are the base driver's while it lasts: a key is read
// before it can have changed them.
func TestForgottenArguments(t *testing.T) {
	ctx := context.Background()
	for _, query := range []string{"INSERT INTO orders (id) VALUES ($1)", "UPDATE orders SET note = 'x' WHERE id = $1"} {
		fake, s := sqltest.NewFake(), &spy{}
		db := open(t, fake, s, adriver.Capture(adriver.AllTables()))
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(ctx, query, 7); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(ctx, query, 8); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, e := range s.ended {
			ids = append(ids, e.Events[0].Target.ID)
		}
		want(t, "keys", ids, "7", "8")
	}
}
