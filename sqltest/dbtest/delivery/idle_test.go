package delivery_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/lib/pq"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// metered is a connector that notes its open connections, and what is executed on them.
type metered struct {
	sqldriver.Connector
	mu      sync.Mutex
	open    int
	queries []string
}

// Connect implements driver.Connector.
func (m *metered) Connect(ctx context.Context) (sqldriver.Conn, error) {
	conn, err := m.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	m.note(1)
	return &meteredConn{conn, m}, nil
}

func (m *metered) note(opened int, queries ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open += opened
	m.queries = append(m.queries, queries...)
}

// take returns how many connections are open, and what was executed since the last call.
func (m *metered) take() (open int, queries []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	queries, m.queries = m.queries, nil
	return m.open, queries
}

type meteredConn struct {
	sqldriver.Conn
	meter *metered
}

// Close implements driver.Conn.
func (c *meteredConn) Close() error {
	c.meter.note(-1)
	return c.Conn.Close()
}

// ExecContext implements driver.ExecerContext.
func (c *meteredConn) ExecContext(ctx context.Context, query string, args []sqldriver.NamedValue) (sqldriver.Result, error) {
	c.meter.note(0, query)
	return c.Conn.(sqldriver.ExecerContext).ExecContext(ctx, query, args)
}

// QueryContext implements driver.QueryerContext.
func (c *meteredConn) QueryContext(ctx context.Context, query string, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	c.meter.note(0, query)
	return c.Conn.(sqldriver.QueryerContext).QueryContext(ctx, query, args)
}

// TestIdleProcesses: of processes that commit nothing, the one with the lease keeps a
// connection or two. Each other opens one for each heartbeat, every six to nine tenths of a
// lease, and executes nothing else on it. The time is virtual.
func TestIdleProcesses(t *testing.T) {
	const lease, processes = 11 * time.Second, 4
	each(t, func(w *world) {
		synctest.Test(w.T, func(t *testing.T) {
			var meters []*metered
			for range processes {
				m := &metered{}
				var err error
				if m.Connector, err = pq.NewConnector(w.dsn); w.e.Name == dbtest.PGX.Name {
					m.Connector, err = (&stdlib.Driver{}).OpenConnector(w.dsn)
				}
				w.must(err)
				hub := forward.New(&forward.Options{Logger: zap.NewNop()})
				hub.Register(w.sink, forward.Async)
				dialect := driver.WithDialect(hooks.Postgres)
				c, err := driver.WrapConnector(m, hub, dialect)
				w.must(err)
				db := sql.OpenDB(c)
				db.SetMaxIdleConns(0) // what is open is the relay's
				w.must(db.PingContext(ctx))
				defer db.Close()
				meters = append(meters, m)
			}
			time.Sleep(5 * lease)
			synctest.Wait()
			for _, m := range meters {
				m.take()
			}
			time.Sleep(10 * lease)
			synctest.Wait()
			holders := 0
			for _, m := range meters {
				open, queries := m.take()
				if open > 0 {
					holders++
					if open > 2 {
						t.Errorf("the holder has %d connections", open)
					}
					continue
				}
				if n := len(queries); n < 10 || n > 17 {
					t.Errorf("a process without a lease has executed %d statements in ten leases, want one every six to nine tenths", n)
				}
				for _, q := range queries {
					if !strings.Contains(q, ".workers") {
						t.Errorf("a process without a lease has executed %s", q)
					}
				}
			}
			if holders != 1 {
				t.Errorf("%d processes keep connections, want one", holders)
			}
		})
	})
}
