package driver_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"testing"

	adriver "github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

// events makes a spy keep its events, as "orders.updated#7 rows=1".
func events(s *spy) *[]string {
	lines := &[]string{}
	s.flush = func(_ context.Context, f hooks.Flush) (bool, error) {
		for _, e := range f.Events {
			line := e.Action
			if e.Target.ID != "" {
				line += "#" + e.Target.ID
			}
			if rows, ok := e.Metadata["rows"]; ok {
				line += fmt.Sprint(" rows=", rows)
			}
			*lines = append(*lines, line)
		}
		return true, nil
	}
	return lines
}

// miscounting has the same result for every statement.
type miscounting struct {
	nullConn
	result driver.Result
}

func (c miscounting) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return c.result, nil
}

type miscountingConnector struct {
	nullConnector
	result driver.Result
}

func (c miscountingConnector) Connect(context.Context) (driver.Conn, error) {
	return miscounting{result: c.result}, nil
}

// TestWrongCounts: a number of rows that may be wrong leaves no event out, and is in
// none: drivers that are not known to count what a statement with RETURNING changes
// when it is executed may return anything, and some count nothing at all.
func TestWrongCounts(t *testing.T) {
	for _, c := range []struct {
		query   string
		results []driver.Result
		want    string
	}{
		{"INSERT INTO orders (id) VALUES (7) RETURNING id", []driver.Result{driver.RowsAffected(0), driver.RowsAffected(5)}, "orders.inserted#7"},
		{"UPDATE orders SET n = 1 WHERE id = 7 RETURNING id", []driver.Result{driver.RowsAffected(0), driver.RowsAffected(5)}, "orders.updated#7"},
		{"DELETE FROM orders WHERE id = 7 RETURNING id", []driver.Result{driver.RowsAffected(0), driver.RowsAffected(5)}, "orders.deleted#7"},
		{"UPDATE orders SET n = 1", []driver.Result{driver.RowsAffected(-1), driver.ResultNoRows}, "orders.updated"},
	} {
		for _, result := range c.results {
			s := &spy{}
			lines := events(s)
			connector, err := adriver.WrapConnector(miscountingConnector{result: result}, s, adriver.WithDialect(hooks.Postgres), adriver.Capture(adriver.AllTables()))
			if err != nil {
				t.Fatal(err)
			}
			db := sql.OpenDB(connector)
			defer db.Close()
			if _, err := db.ExecContext(context.Background(), c.query); err != nil {
				t.Fatal(err)
			}
			want(t, fmt.Sprintf("%s, result %v", c.query, result), *lines, c.want)
		}
	}
}

// TestSeveralRowsHaveNoKey: a statement that changed two rows by a key has shown that
// it is not one row's, whatever is known of the table.
func TestSeveralRowsHaveNoKey(t *testing.T) {
	ctx := context.Background()
	fake, s := sqltest.NewFake(), &spy{}
	lines := events(s)
	two := sqltest.Rows([]string{"id"}, []driver.Value{int64(7)}, []driver.Value{int64(7)})
	two.RowsAffected = 2
	fake.Answer("UPDATE orders", two)
	fake.Answer("DELETE FROM orders", two)
	db := open(t, fake, s, adriver.Capture(adriver.AllTables()))
	for _, query := range []string{"UPDATE orders SET n = 1 WHERE id = 7", "DELETE FROM orders WHERE id = 7"} {
		if _, err := db.ExecContext(ctx, query); err != nil {
			t.Fatal(err)
		}
		rows, err := db.QueryContext(ctx, query+" RETURNING id")
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
	}
	want(t, "events", *lines, "orders.updated rows=2", "orders.updated rows=2", "orders.deleted rows=2", "orders.deleted rows=2")
}
