// Package transparent compares the wrapped drivers with the bare ones on real
// databases.
package transparent

import (
	"database/sql"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// TestDriver runs the script of sqltest.TestTransparent on both.
func TestDriver(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts []driver.Option
	}{
		{"recording", nil},
		{"capturing", []driver.Option{driver.Capture(driver.AllTables())}},
		{"best effort", []driver.Option{driver.Capture(driver.AllTables()), driver.WithMode(hooks.BestEffort)}},
		{"off", []driver.Option{driver.Capture(driver.AllTables()), driver.WithMode(hooks.Off)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
				hub := forward.New(nil)
				name := dbtest.Name(e.Driver)
				opts := append([]driver.Option{driver.WriteTimeout(dbtest.Patience), driver.DefaultActor(hooks.Actor{Type: hooks.System})}, tt.opts...)
				driver.Register(name, e.Driver, hub, opts...)
				bare, wrapped := e.DSN(t), e.DSN(t)
				sqltest.TestTransparent(t, opener(e.Driver, bare), opener(name, wrapped), e.Dialect)
			})
		})
	}
}

func opener(name, dsn string) func(t *testing.T) *sql.DB {
	return func(t *testing.T) *sql.DB {
		t.Helper()
		db, err := sql.Open(name, dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
}
