package driver_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"io"
	"slices"
	"testing"

	adriver "github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

// Rows of a captured RETURNING are read before the COMMIT, but not without end.
func TestReturningReadsUpToItsLimit(t *testing.T) {
	ctx := context.Background()
	fake, s := sqltest.NewFake(), &spy{}
	fake.Answer("INSERT INTO orders", sqltest.Answer{RowsAffected: 5, Sets: sqltest.Rows([]string{"id"},
		[]driver.Value{int64(1)}, []driver.Value{int64(2)}, []driver.Value{int64(3)}, []driver.Value{int64(4)}, []driver.Value{int64(5)}).Sets})
	db := open(t, fake, s, adriver.Capture(adriver.AllTables()), adriver.DrainRows(2))
	rows, err := db.QueryContext(ctx, "INSERT INTO orders VALUES (1) RETURNING id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	read := slices.DeleteFunc(fake.Log("Rows.Next"), func(c sqltest.Call) bool { return c.Query != "INSERT INTO orders VALUES (1) RETURNING id" })
	if n := len(read); n != 2 {
		t.Errorf("%d rows were read in advance, want 2", n)
	}
	if n := len(fake.Committed()); n != 0 {
		t.Errorf("%d statements were committed before the rows were read", n)
	}
	n := 0
	for rows.Next() {
		n++
	}
	if err := rows.Err(); err != nil || n != 5 {
		t.Errorf("%d rows, %v; want 5", n, err)
	}
	want(t, "committed", fake.CommittedQueries(), "INSERT INTO orders VALUES (1) RETURNING id", "INSERT journal orders.inserted")
}

// reuse is a connection whose rows have the same bytes each time, as the
// interface allows.
type reuse struct {
	nullConn
	left   int
	buffer []byte
}

func (c *reuse) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	c.left = 3
	return c, nil
}

func (c *reuse) Columns() []string { return []string{"id"} }

func (c *reuse) Next(dest []driver.Value) error {
	if c.left == 0 {
		return io.EOF
	}
	c.left--
	c.buffer[0] = byte('a' + c.left)
	dest[0] = c.buffer
	return nil
}

type reuseConnector struct{ nullConnector }

func (reuseConnector) Connect(context.Context) (driver.Conn, error) {
	return &reuse{buffer: make([]byte, 1)}, nil
}

func TestReturningKeepsBytesOfItsOwn(t *testing.T) {
	s := &spy{flush: func(context.Context, hooks.Flush) (bool, error) { return true, nil }}
	c, err := adriver.WrapConnector(reuseConnector{}, s, adriver.WithDialect(hooks.Postgres), adriver.Capture(adriver.AllTables()))
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(c)
	defer db.Close()
	rows, err := db.QueryContext(context.Background(), "INSERT INTO orders VALUES (1) RETURNING id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		got += id
	}
	if err := rows.Err(); err != nil || got != "cba" {
		t.Errorf("rows %q, %v; want cba", got, err)
	}
}

// Where the catalog says nothing of the table's triggers, a returned key is named
// rather than the one in the statement.
func TestReturnedKeyIsTheRows(t *testing.T) {
	fake := sqltest.NewFake()
	fake.Answer("INSERT INTO orders", sqltest.Rows([]string{"id"}, []driver.Value{int64(77)}))
	var ids []string
	s := &spy{flush: func(_ context.Context, f hooks.Flush) (bool, error) {
		for _, e := range f.Events {
			ids = append(ids, e.Target.ID)
		}
		return true, nil
	}}
	db := open(t, fake, s, adriver.Capture(adriver.AllTables()))
	rows, err := db.QueryContext(context.Background(), "INSERT INTO orders (id) VALUES (5) RETURNING id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	want(t, "IDs", ids, "77")
}
