package contract_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
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

// TestRoundTripsOfSync counts what a sink within Commit costs that needs no connection: where
// the write's answer says what the server has added, nothing is read back. stdlib's pgx hands
// on no row of several statements, and what was written early may have been taken back.
func TestRoundTripsOfSync(t *testing.T) {
	throughProxy(t, func(w *world, p *dbtest.Proxy) {
		w.db.SetMaxOpenConns(1)
		bare := dbtest.Open(t, w.e.Driver, dbtest.Via(w.dsn, p.Addr()))
		bare.SetMaxOpenConns(1)
		id := 0
		insert := func(h hooks.Handle, table string) {
			id++
			w.must(h.ExecContext(ctx(), fmt.Sprintf("INSERT INTO %s (id) VALUES (%d)", table, id)))
		}
		in := func(f func(tx *sql.Tx)) func(db *sql.DB) {
			return func(db *sql.DB) {
				tx, err := db.BeginTx(ctx(), nil)
				w.must(err)
				insert(tx, "lines")
				if f != nil && db == w.db {
					f(tx)
				}
				w.must(tx.Commit())
			}
		}
		record := func(tx *sql.Tx) { w.record(tx, "a") }
		for _, tt := range []struct {
			name    string
			audited func(db *sql.DB)
			bare    func(db *sql.DB)
			extra   map[string]int // by engine
			reads   bool           // on every engine
		}{
			{name: "a transaction", audited: in(record), bare: in(nil), extra: map[string]int{"pq": 1, "pgx": 1, "pgxdriver": 0}},
			{name: "many events", audited: in(func(tx *sql.Tx) {
				for range 1500 {
					record(tx)
				}
			}), bare: in(nil), extra: map[string]int{"pq": 2, "pgx": 2, "pgxdriver": 1}},
			{name: "autocommit", audited: func(db *sql.DB) { insert(db, "orders") }, bare: func(db *sql.DB) { insert(db, "lines") }, extra: map[string]int{"pq": 2, "pgx": 2, "pgxdriver": 2}},
			{name: "a part is taken back", audited: in(func(tx *sql.Tx) {
				record(tx)
				w.must(tx.ExecContext(ctx(), "SAVEPOINT s"))
				record(tx)
				w.must(tx.ExecContext(ctx(), "ROLLBACK TO SAVEPOINT s"))
			}), bare: in(nil), extra: map[string]int{"pq": 3, "pgx": 3, "pgxdriver": 2}},
			{name: "flushed early", audited: in(func(tx *sql.Tx) {
				record(tx)
				w.must(tx.ExecContext(ctx(), "SELECT 1; SAVEPOINT s"))
				record(tx)
			}), bare: in(nil), reads: true},
		} {
			sent := func(db *sql.DB, f func(db *sql.DB)) []string {
				f(db) // so that what is to be asked once has been
				seen := p.Watch(func(query string) bool { return query != "-- ping" })
				f(db)
				return seen.Queries()
			}
			want := len(sent(bare, tt.bare)) + tt.extra[w.e.Name]
			is := sent(w.db, tt.audited)
			reads := slices.ContainsFunc(is, has(".written("))
			if reads && w.e.Name == "pgx" {
				want++
			} else if reads != tt.reads {
				w.Errorf("%s: read back: %t", tt.name, reads)
			}
			if len(is) != want && !tt.reads {
				w.Errorf("%s: %d round trips, want %d: %q", tt.name, len(is), want, is)
			}
		}
		if forwarded, events := len(w.sink.got()), strings.Count(w.journal(), " ")+1; forwarded != events {
			w.Errorf("%d events in the journal, %d forwarded", events, forwarded)
		}
	})
}
