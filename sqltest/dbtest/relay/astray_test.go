package relay_test

import (
	"context"
	"database/sql/driver"
	"sync"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// moving is a driver for an address that moves: what is opened while it is astray leads
// to a server that is read-only, and stays open.
type moving struct {
	driver.Driver

	mu     sync.Mutex
	astray bool
}

func (m *moving) Open(name string) (driver.Conn, error) {
	conn, err := m.Driver.Open(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil || !m.astray {
		return conn, err
	}
	_, err = conn.(driver.ExecerContext).ExecContext(context.Background(), "SET default_transaction_read_only = on", nil)
	return conn, err
}

func (m *moving) set(astray bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.astray = astray
}

// TestAddressLedAstray: connections that were opened to a standby during a failover must
// not be used for ever.
func TestAddressLedAstray(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		m := &moving{}
		wrapped := dbtest.Wrap(t, e.Driver, func(d driver.Driver) driver.Driver { m.Driver = d; return m })
		bare := w.db
		w.db = dbtest.Open(t, wrapped, w.dsn)
		w.db.SetMaxOpenConns(1) // so that no other helps out
		r := w.start(relay.Config{})
		w.db = bare
		w.commit("a")
		w.drain(r)
		m.set(true)
		cut := "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
		_, err := bare.ExecContext(ctx, cut)
		w.must(err)
		w.until("the relay gets a server that is read-only", func() bool { return hooks.SQLState(r.Trouble(name)) == "25006" })
		m.set(false)
		w.commit("b")
		w.until("b is delivered", func() bool { return contains(w.sink.all(), "b") })
	}, dbtest.PostgresEngines()...)
}
