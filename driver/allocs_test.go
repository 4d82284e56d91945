package driver_test

import (
	"context"
	"database/sql"
	"testing"

	adriver "github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// TestAllocations: what an event costs before it reaches a database is bounded, in
// allocations beyond those that database/sql and the hook need.
func TestAllocations(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background()) // as that of a request
	defer cancel()
	transaction := func(db *sql.DB) float64 {
		return testing.AllocsPerRun(200, func() {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = tx.ExecContext(ctx, "INSERT INTO orders (id) VALUES (1)")
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
		})
	}
	connector, err := adriver.WrapConnector(storeConnector{}, scribe{}, adriver.WithDialect(hooks.Postgres), adriver.Capture(adriver.AllTables()))
	if err != nil {
		t.Fatal(err)
	}
	bare, wrapped := sql.OpenDB(storeConnector{}), sql.OpenDB(connector)
	defer bare.Close()
	defer wrapped.Close()
	const most = 19 // 16 were seen, and 18 with the race detector, which has pools lose things
	more := transaction(wrapped) - transaction(bare)
	t.Logf("%.0f allocations more", more)
	if more > most {
		t.Errorf("%.0f allocations more than without the driver, want at most %d", more, most)
	}
}
