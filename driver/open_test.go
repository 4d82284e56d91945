package driver_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"reflect"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

// counting is a hook that counts the databases that are open.
type counting struct {
	opened, closed atomic.Int32
}

func (c *counting) Open(hooks.Database) (hooks.Handler, error) {
	c.opened.Add(1)
	return counted{c: c}, nil
}

// keeping is a hook that keeps what it is told.
type keeping struct {
	silent
	db hooks.Database
}

func (k *keeping) Open(db hooks.Database) (hooks.Handler, error) {
	k.db = db
	return k, nil
}

// TestConnectorPastAllOfOurs: what a hook opens for itself is not audited, also
// by another of ours below.
func TestConnectorPastAllOfOurs(t *testing.T) {
	fake, outer := sqltest.NewFake(), &keeping{}
	inner, err := driver.WrapConnector(fake, silent{}, driver.WithDialect(hooks.Postgres))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = driver.WrapConnector(inner, outer, driver.WithDialect(hooks.Postgres)); err != nil {
		t.Fatal(err)
	}
	conn, err := outer.db.Connector.Connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	bare, err := fake.Connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if reflect.TypeOf(conn) != reflect.TypeOf(bare) {
		t.Errorf("the hook's connections are %T, want %T", conn, bare)
	}
}

// counted is the handler of one of them.
type counted struct {
	silent
	c *counting
}

func (h counted) Close() error {
	h.c.closed.Add(1)
	return nil
}

// openedBy wraps a fake and returns the driver with which tracers open single
// connections of it.
func openedBy(t *testing.T, hook hooks.Hook) sqldriver.Driver {
	t.Helper()
	c, err := driver.WrapConnector(sqltest.NewFake(), hook, driver.WithDialect(hooks.Postgres))
	if err != nil {
		t.Fatal(err)
	}
	return c.Driver()
}

// TestOpenSharesADatabase: the connections that are opened one by one are one
// database to the hook for each DSN, until the last has been closed for a while.
func TestOpenSharesADatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hook := &counting{}
		d := openedBy(t, hook)
		hook.opened.Store(0) // the connector's own
		open := func(dsn string) sqldriver.Conn {
			c, err := d.Open(dsn)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		want := func(when string, opened, closed int32) {
			t.Helper()
			synctest.Wait()
			if o, c := hook.opened.Load(), hook.closed.Load(); o != opened || c != closed {
				t.Errorf("%s: %d databases were opened and %d closed, want %d and %d", when, o, c, opened, closed)
			}
		}
		a, b := open("one"), open("one")
		want("two connections", 1, 0)
		other := open("other")
		want("another DSN", 2, 0)
		_ = a.Close()
		time.Sleep(time.Hour)
		want("one is left", 2, 0)
		_ = b.Close()
		time.Sleep(30 * time.Second)
		b = open("one")
		want("opened again soon", 2, 0)
		time.Sleep(time.Hour)
		want("in use", 2, 0)
		_ = b.Close()
		time.Sleep(time.Hour)
		want("all closed", 2, 1)
		_ = open("one").Close()
		_ = other.Close()
		want("opened again late", 3, 1)
		time.Sleep(time.Hour)
		want("all closed again", 3, 3)
	})
}

// TestOpenFails: a connection that could not be opened does not count.
func TestOpenFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, hook := sqltest.NewFake(), &counting{}
		c, err := driver.WrapConnector(fake, hook, driver.WithDialect(hooks.Postgres))
		if err != nil {
			t.Fatal(err)
		}
		fake.On(sqltest.Call{Method: "Connector.Connect"}, sqltest.Lose())
		if _, err := c.Driver().Open("one"); err == nil {
			t.Fatal("Open says nil")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := hook.closed.Load(); n != 1 {
			t.Errorf("%d databases were closed, want the one that could not be opened", n)
		}
	})
}

// TestWrapsItself: two names that wrap each other lead nowhere.
func TestWrapsItself(t *testing.T) {
	driver.Register("ring-a", "ring-b", silent{})
	defer func() {
		if v := recover(); v == nil {
			t.Error("no panic")
		}
	}()
	driver.Register("ring-b", "ring-a", silent{})
}

// unnamed is a connector without a driver.
type unnamed struct{ sqldriver.Connector }

func (unnamed) Driver() sqldriver.Driver { return nil }

// TestConnectorWithoutADriver can be wrapped; opening another database by its
// driver cannot work.
func TestConnectorWithoutADriver(t *testing.T) {
	c, err := driver.WrapConnector(unnamed{sqltest.NewFake()}, silent{}, driver.WithDialect(hooks.Postgres))
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(c)
	defer db.Close()
	if err := db.PingContext(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := db.Driver().Open("dsn"); err == nil {
		t.Error("Open says nil")
	}
}
