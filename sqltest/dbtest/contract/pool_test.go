package contract_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestConcurrent: many goroutines, of which some commit and some do not.
func TestConcurrent(t *testing.T) {
	each(t, func(w *world) {
		const workers, rounds = 8, 12
		var wg sync.WaitGroup
		for worker := range workers {
			wg.Go(func() {
				for round := range rounds {
					if err := w.round(worker*rounds + round); err != nil {
						w.Error(err)
					}
				}
			})
		}
		wg.Wait()
		rows := strings.Fields(w.rows())
		if len(rows) != workers*rounds/2 {
			w.Errorf("%d rows, want those of half the rounds", len(rows))
		}
		slices.Sort(rows)
		for what, events := range map[string]string{"journal": w.journal(), "sink": w.sink.names()} {
			names := strings.Fields(events)
			slices.Sort(names)
			if !slices.Equal(names, rows) {
				w.Errorf("%s: %v, want the rows: %v", what, names, rows)
			}
		}
	})
}

// round inserts the row n with an event of that name, and keeps it if n is even.
func (w *world) round(n int) error {
	tx, err := w.db.BeginTx(ctx(), nil)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx(), w.e.Rebind("INSERT INTO things (id) VALUES (?)"), n); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := hooks.Record(ctx(), tx, named(fmt.Sprint(n))); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if n%2 == 1 {
		return tx.Rollback()
	}
	return tx.Commit()
}

// TestStatementOfThePool: one *sql.Stmt on several connections and in a Tx.
func TestStatementOfThePool(t *testing.T) {
	each(t, func(w *world) {
		stmt, err := w.db.PrepareContext(ctx(), w.e.Rebind("INSERT INTO orders (id) VALUES (?)"))
		w.must(err)
		defer stmt.Close()
		w.must(stmt.ExecContext(ctx(), 1))
		hold := w.conn() // the statement is prepared again on another one
		w.must(stmt.ExecContext(ctx(), 2))
		w.must(hold.Close())
		tx := w.begin()
		inside := tx.StmtContext(ctx(), stmt)
		defer inside.Close()
		w.must(inside.ExecContext(ctx(), 3))
		w.must(tx.Rollback())
		tx = w.begin()
		inside = tx.StmtContext(ctx(), stmt)
		defer inside.Close()
		w.must(inside.ExecContext(ctx(), 4))
		w.must(tx.Commit())
		const each3 = "orders.inserted orders.inserted orders.inserted"
		w.want("1 2 4", each3, each3)
	})
}

// TestStaleConnection: the idle connection was ended by the server. Where
// database/sql tries again on the bare driver, it does so here.
func TestStaleConnection(t *testing.T) {
	each(t, func(w *world) {
		twin := newTwin(w.T, w.e)
		stale := func(v *world, do func() error) string {
			v.Helper()
			var pid int
			v.must(v.db.QueryRowContext(ctx(), "SELECT pg_backend_pid()").Scan(&pid))
			w.must(v.bare.ExecContext(ctx(), "SELECT pg_terminate_backend($1, 10000)", pid))
			return kind(do())
		}
		exec := func(v *world) func() error {
			return func() error {
				_, err := v.db.ExecContext(ctx(), "INSERT INTO orders (id) VALUES ($1)", 1)
				return err
			}
		}
		if got, want := stale(w, exec(w)), stale(twin, exec(twin)); got != want {
			w.Errorf("Exec says %s, and on the bare driver %s", got, want)
		}
		begin := func(v *world) func() error {
			return func() error {
				tx, err := v.db.BeginTx(ctx(), nil)
				if err == nil {
					v.insert(tx, 2)
					err = tx.Commit()
				}
				return err
			}
		}
		if got, want := stale(w, begin(w)), stale(twin, begin(twin)); got != want {
			w.Errorf("a Tx says %s, and on the bare driver %s", got, want)
		}
		if got, want := w.rows(), twin.rows(); got != want {
			w.Errorf("rows [%s], and on the bare driver [%s]", got, want)
		}
		if w.rows() != "" {
			w.want(w.rows(), "orders.inserted", "orders.inserted")
		}
		if got := stale(w, func() error { return hooks.Record(ctx(), w.db, named("a")) }); got != "nil" {
			w.Errorf("Record on a pool with a stale connection says %s", got)
		}
	}, pg...)
}

// TestWrapConnector: sql.OpenDB instead of a name.
func TestWrapConnector(t *testing.T) {
	each(t, func(w *world) {
		base, err := w.connector()
		w.must(err)
		c, err := driver.WrapConnector(base, w.hub, driver.Capture(driver.AllTables()))
		w.must(err)
		db := sql.OpenDB(c)
		defer db.Close()
		tx, err := db.BeginTx(ctx(), nil)
		w.must(err)
		w.insert(tx, 1)
		w.record(tx, "a")
		w.must(tx.Commit())
		w.want("1", "things.inserted a", "things.inserted a")
		if got, want := typeOf(driver.Base(db.Driver())), typeOf(w.bare.Driver()); got != want {
			w.Errorf("the driver wraps a %s, want the base driver's %s", got, want)
		}
	})
}

// connector opens the base driver's connector, as database/sql does.
func (w *world) connector() (sqldriver.Connector, error) {
	d := w.bare.Driver()
	if dc, ok := d.(sqldriver.DriverContext); ok {
		return dc.OpenConnector(w.dsn)
	}
	return dsnConnector{w.dsn, d}, nil
}

// dsnConnector is that of a driver without connectors.
type dsnConnector struct {
	dsn    string
	driver sqldriver.Driver
}

func (c dsnConnector) Connect(context.Context) (sqldriver.Conn, error) { return c.driver.Open(c.dsn) }
func (c dsnConnector) Driver() sqldriver.Driver                        { return c.driver }

// TestPoolClosed with a transaction open: it goes with the connections.
func TestPoolClosed(t *testing.T) {
	each(t, func(w *world) {
		tx := w.open(ctx())
		w.must(w.db.Close())
		_ = tx.Rollback()
		w.want("", "", "")
	})
}

// TestCancelledRawCommit: the context of the COMMIT itself ends before it is
// sent, or while it is under way.
func TestCancelledRawCommit(t *testing.T) {
	begin := func(w *world) *sql.Conn {
		w.Helper()
		conn := w.conn()
		w.must(conn.ExecContext(ctx(), "BEGIN"))
		w.insert(conn, 1)
		w.record(conn, "a")
		return conn
	}
	t.Run("before", func(t *testing.T) {
		each(t, func(w *world) {
			conn := begin(w)
			c, cancel := context.WithCancel(ctx())
			cancel()
			// lib/pq sends it all the same, and a cancellation beside it.
			_, _ = conn.ExecContext(c, "COMMIT")
			_, _ = conn.ExecContext(ctx(), "COMMIT") // of what may still be open
			_ = conn.Close()
			w.wantAllOrNothing()
		})
	})
	for name, fault := range map[string]dbtest.Fault{"not there yet": dbtest.HoldStatement, "executed": dbtest.HoldAnswer} {
		t.Run(name, func(t *testing.T) {
			throughProxy(t, func(w *world, p *dbtest.Proxy) {
				conn := begin(w)
				c, cancel := context.WithCancel(ctx())
				trap := p.Next(fault, dbtest.IsCommit)
				done := make(chan struct{})
				go func() {
					defer close(done)
					_, _ = conn.ExecContext(c, "COMMIT")
				}()
				<-trap.Sprung()
				cancel()
				trap.Release()
				w.within("COMMIT", func() { <-done })
				_ = conn.Close()
				w.wantAllOrNothing()
			})
		})
	}
}
