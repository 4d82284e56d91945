package forward

import (
	"context"
	"database/sql/driver"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// counting is a connector that counts, to a database that does nothing.
type counting struct{ n atomic.Int32 }

func (c *counting) Connect(context.Context) (driver.Conn, error) {
	c.n.Add(1)
	return noop{}, nil
}

func (c *counting) Driver() driver.Driver { return nil }

type noop struct{ driver.Conn }

func (noop) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(1), nil
}

func (noop) Close() error { return nil }

// TestSideConnectionsEnd: a connection that is in use again and again, as a relay's that
// polls, is replaced nevertheless.
func TestSideConnectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &counting{}
		d := New(nil).newHandler(hooks.Database{Driver: "db", Dialect: hooks.Postgres, Connector: base})
		db, err := d.sideDB()
		if err != nil {
			t.Fatal(err)
		}
		defer d.side.close()
		for range 3 * connLifetime / time.Second {
			if _, err := db.ExecContext(t.Context(), "UPDATE t SET x = 1"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if n := base.n.Load(); n != 3 {
			t.Errorf("%d connections in three lifetimes, want 3", n)
		}
	})
}
