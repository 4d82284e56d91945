package contract_test

import (
	"database/sql"
	"testing"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestRoundTrips counts what an event costs beyond the app's own round trips,
// on a connection that has been used before.
func TestRoundTrips(t *testing.T) {
	throughProxy(t, func(w *world, p *dbtest.Proxy) {
		// No sink within Commit: what it reads and writes is its own affair.
		name := dbtest.Name(w.e.Driver)
		hub := forward.New(&forward.Options{Logger: zap.NewNop(), Relay: forward.RelayElsewhere})
		w.e.Register(name, hub, driver.Capture(driver.Tables("orders")), driver.WriteTimeout(dbtest.Patience))
		open := func(name string) *sql.DB {
			db := dbtest.Open(w, name, dbtest.Via(w.dsn, p.Addr()))
			db.SetMaxOpenConns(1)
			return db
		}
		bare, audited := open(w.e.Driver), open(name)
		id := 0
		insert := func(db hooks.Handle, table string) {
			id++
			w.must(db.ExecContext(ctx(), "INSERT INTO "+table+" (id) VALUES ($1)", id))
		}
		transaction := func(events int) func(db *sql.DB) {
			return func(db *sql.DB) {
				tx, err := db.BeginTx(ctx(), nil)
				w.must(err)
				insert(tx, "lines")
				for range events {
					w.record(tx, "a")
				}
				w.must(tx.Commit())
			}
		}
		trips := func(db *sql.DB, f func(db *sql.DB)) int64 {
			f(db) // so that what is to be prepared is
			before := p.Trips()
			f(db)
			return p.Trips() - before
		}
		flush := int64(1)
		if w.e.Name == dbtest.PGXDriver.Name {
			flush = 0 // the COMMIT is in its message
		}
		for _, tt := range []struct {
			name  string
			do    func(db *sql.DB)
			bare  func(db *sql.DB) // if the bare driver does something else
			extra int64
		}{
			{name: "a SELECT", do: func(db *sql.DB) { w.must(db.ExecContext(ctx(), "SELECT 1")) }},
			{name: "a transaction without events", do: transaction(0)},
			{name: "with one", do: transaction(1), bare: transaction(0), extra: flush},
			{name: "with a hundred", do: transaction(100), bare: transaction(0), extra: flush},
			{name: "a statement that is not captured", do: func(db *sql.DB) { insert(db, "lines") }},
			{name: "one that is", do: func(db *sql.DB) { insert(db, "orders") }, extra: 2},
		} {
			if tt.bare == nil {
				tt.bare = tt.do
			}
			was := trips(bare, tt.bare)
			if is := trips(audited, tt.do); is != was+tt.extra {
				w.Errorf("%s: %d round trips, %d bare, want %d more", tt.name, is, was, tt.extra)
			}
		}
	})
}
