package driver_test

import (
	"database/sql"
	"errors"
	"testing"

	adriver "github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

// TestUnproven: where SQLite does not say whether the transaction is open, its events have
// not been written, and strict mode does not commit without them.
func TestUnproven(t *testing.T) {
	for _, tt := range []struct {
		name      string
		mode      hooks.Mode
		do        func(t *testing.T, tx *sql.Tx)
		strict    bool // the COMMIT is refused
		committed []string
		told      []string
		kinds     []string
	}{
		{name: "written", do: writes, strict: true, told: []string{"rolled back orders.inserted"}, kinds: []string{"failed journal"}},
		{name: "only read", do: reads, strict: true, told: []string{"rolled back a.b"}, kinds: []string{"failed journal"}},
		{name: "written, best effort", mode: hooks.BestEffort, do: writes, committed: []string{orderStmt}, kinds: []string{"failed journal", "lost write_failed"}},
		{name: "only read, best effort", mode: hooks.BestEffort, do: reads, committed: []string{"SELECT 1"}, kinds: []string{"failed journal", "lost write_failed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake, s := sqltest.NewFakeOf(sqltest.Modern, hooks.SQLite), &spy{}
			db := open(t, fake, s, adriver.WithDialect(hooks.SQLite), adriver.Capture(adriver.AllTables()), adriver.WithMode(tt.mode))
			tx := begin(t, db)
			tt.do(t, tx)
			fake.On(sqltest.Call{Method: "ExecContext", Query: "BEGIN"}, sqltest.Fail(errOdd).At(1))
			if err := tx.Commit(); tt.strict != errors.Is(err, errOdd) || !tt.strict && err != nil {
				t.Errorf("Commit: %v", err)
			}
			want(t, "committed", fake.CommittedQueries(), tt.committed...)
			want(t, "told", s.told(), tt.told...)
			want(t, "kinds", s.kinds(), tt.kinds...)
		})
	}
}

// TestUnprovenAlone is TestUnproven for a transaction of the driver's own.
func TestUnprovenAlone(t *testing.T) {
	fake, s := sqltest.NewFakeOf(sqltest.Modern, hooks.SQLite), &spy{}
	db := open(t, fake, s, adriver.WithDialect(hooks.SQLite), adriver.Capture(adriver.AllTables()))
	exec(t, db, "SELECT 1")
	fake.On(sqltest.Call{Method: "ExecContext", Query: "BEGIN"}, sqltest.Fail(errOdd).At(2))
	if _, err := db.ExecContext(t.Context(), orderStmt); !errors.Is(err, errOdd) {
		t.Errorf("Exec: %v", err)
	}
	want(t, "committed", fake.CommittedQueries(), "SELECT 1")
	want(t, "told", s.told(), "rolled back orders.inserted")
}

func writes(t *testing.T, tx *sql.Tx) {
	t.Helper()
	exec(t, tx, orderStmt)
}

func reads(t *testing.T, tx *sql.Tx) {
	t.Helper()
	record(t, tx, "a.b")
	exec(t, tx, "SELECT 1")
}
