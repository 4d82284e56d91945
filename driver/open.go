package driver

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"time"
)

// wrapped is the driver that sql.Register gets and that our connectors return.
// Tracers and loggers take it from a sql.DB and open connections through it, so
// what it opens is audited.
type wrapped struct {
	reg  *registration
	name string // of the base driver; empty where a connector was wrapped

	mu     sync.Mutex // guards what follows
	base   driver.Driver
	shared map[string]*sharedDB // by DSN
}

var _ driver.DriverContext = (*wrapped)(nil)

// OpenConnector looks up the base driver and opens its connector.
func (w *wrapped) OpenConnector(dsn string) (driver.Connector, error) {
	d, err := w.find(dsn)
	if err != nil {
		return nil, fmt.Errorf("driver: base of %q: %w", w.reg.name, err)
	}
	base, err := openBase(d, dsn)
	if err != nil {
		return nil, err
	}
	return newConnector(w, base)
}

// find returns the base driver, which is looked up once.
func (w *wrapped) find(dsn string) (driver.Driver, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.base != nil {
		return w.base, nil
	}
	if w.name == "" {
		return nil, errors.New("the wrapped connector names no driver: open databases with sql.OpenDB and the connector itself")
	}
	d, err := lookup(w.name, dsn)
	w.base = d
	return d, err
}

// lookup finds a registered driver. database/sql gives it out only through a
// sql.DB, which opens no connection.
func lookup(name, dsn string) (driver.Driver, error) {
	if v, ok := registrations.Load(name); ok {
		return v.(*wrapped), nil
	}
	db, err := sql.Open(name, dsn)
	if err != nil {
		return nil, err
	}
	d := db.Driver()
	return d, db.Close()
}

func openBase(d driver.Driver, dsn string) (driver.Connector, error) {
	if dc, ok := d.(driver.DriverContext); ok {
		return dc.OpenConnector(dsn)
	}
	return dsnConnector{dsn: dsn, driver: d}, nil
}

// dsnConnector is what database/sql uses for a driver without connectors.
type dsnConnector struct {
	dsn    string
	driver driver.Driver
}

func (c dsnConnector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }
func (c dsnConnector) Driver() driver.Driver                        { return c.driver }

// linger is how long a shared database outlives its last connection. A pool may
// close all of them and open others; what starting costs is then saved.
const linger = time.Minute

// sharedDB is the database of connections that were opened by Open, one by one:
// those who do that have no connector that they could close.
type sharedDB struct {
	connector *connector
	conns     int
	idle      *time.Timer // closes it, while conns is 0
}

// Open serves callers that know only driver.Driver, such as sqlmw, sqlhooks and
// sqldb-logger. The connections of one DSN are one database to the hook.
func (w *wrapped) Open(dsn string) (driver.Conn, error) {
	s := w.acquire(dsn, nil)
	if s == nil {
		opened, err := w.OpenConnector(dsn)
		if err != nil {
			return nil, err
		}
		c, audited := opened.(*connector)
		if !audited {
			return opened.Connect(context.Background())
		}
		if s = w.acquire(dsn, c); s.connector != c {
			_ = c.Close() // another connection was faster
		}
	}
	c, err := s.connector.db.connect(context.Background())
	if err != nil {
		w.release(dsn, s)
		return nil, err
	}
	c.closed = func() { w.release(dsn, s) }
	return shape(c), nil
}

// acquire counts a connection of a DSN. The first needs the connector; without
// one it returns nil then.
func (w *wrapped) acquire(dsn string, c *connector) *sharedDB {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.shared[dsn]
	switch {
	case s == nil && c == nil:
		return nil
	case s == nil:
		if w.shared == nil {
			w.shared = make(map[string]*sharedDB)
		}
		s = &sharedDB{connector: c}
		w.shared[dsn] = s
	}
	s.conns++
	if s.idle != nil {
		s.idle.Stop()
	}
	return s
}

func (w *wrapped) release(dsn string, s *sharedDB) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.conns--
	if s.conns == 0 {
		s.idle = time.AfterFunc(linger, func() { w.closeIdle(dsn, s) })
	}
}

func (w *wrapped) closeIdle(dsn string, s *sharedDB) {
	w.mu.Lock()
	idle := s.conns == 0 && w.shared[dsn] == s
	if idle {
		delete(w.shared, dsn)
	}
	w.mu.Unlock()
	if idle {
		_ = s.connector.Close()
	}
}
