package forward

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"time"
)

// sidePool is a pool beside the app's, over the base driver's connector. It is
// made when it is needed for the first time.
type sidePool struct {
	mu     sync.Mutex
	db     *sql.DB
	closed bool
}

// relayConns is how many connections the pool beside an app's has at most: two that
// work, and a third to renew leases while both wait for sinks.
const relayConns = 3

// connLifetime is for how long our pools use a connection. After a failover one may lead
// to a server that the address does not lead to any more, and no error says so: one that
// is polled is never idle.
const connLifetime = 5 * time.Minute

// connIdle is for how long our pools keep a connection without using it. The relay uses one
// several times a second while it has a lease, and the others only while there is work.
const connIdle = 15 * time.Second

var (
	errClosed       = errors.New("the Hub, or the database, is closed")
	errNoSide       = errors.New("a second connection to an SQLite file would disturb the app's")
	errNoConnection = errors.New("forward: no connection beside the app's")
	errNoBase       = errors.New("there is no connector for the base driver")
)

// sideDB returns the pool. There is none on SQLite, where a second writer breaks
// apps without a busy timeout.
func (d *handler) sideDB() (*sql.DB, error) {
	if !d.dialect.beside() {
		return nil, errNoSide
	}
	if d.db.Connector == nil {
		return nil, errNoBase
	}
	d.side.mu.Lock()
	defer d.side.mu.Unlock()
	if d.side.closed {
		return nil, errClosed
	}
	if d.side.db == nil {
		if !d.hub.admit(d) {
			return nil, errClosed
		}
		d.side.db = d.poolBeside(relayConns)
	}
	return d.side.db, nil
}

// settleDB is sideDB for Settle. On SQLite, and when the app has closed the database, it
// is a pool of one connection, which done closes.
func (d *handler) settleDB() (db *sql.DB, done func(), err error) {
	if !d.dialect.local() {
		db, err = d.sideDB()
		if !errors.Is(err, errClosed) || d.hub.isClosed() {
			return db, func() {}, err
		}
	}
	if d.db.Connector == nil {
		return nil, nil, errNoBase
	}
	db = sql.OpenDB(d.beside())
	db.SetMaxOpenConns(1)
	return db, func() { _ = db.Close() }, nil
}

// poolBeside returns a pool of ours on PostgreSQL.
func (d *handler) poolBeside(conns int) *sql.DB {
	db := sql.OpenDB(d.beside())
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	db.SetConnMaxIdleTime(connIdle)
	db.SetConnMaxLifetime(connLifetime)
	return db
}

// beside returns the base connector as it is used beside the app.
func (d *handler) beside() driver.Connector {
	return &impatient{Connector: d.db.Connector, wait: d.hub.timeout}
}

// impatient is a connector with a timeout: the base's may wait for a pool, or a pooler,
// that has no connection left.
type impatient struct {
	driver.Connector
	wait time.Duration
}

// Connect gives up after the time that a look into the journal may take. A panic of the
// base's, which an app may have written, is an error: database/sql and the relay's goroutines
// call it beside the app.
func (c *impatient) Connect(ctx context.Context) (conn driver.Conn, err error) {
	bounded, cancel := context.WithTimeout(ctx, c.wait)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			conn, err = nil, fmt.Errorf("forward: the base driver panicked while connecting: %v", v)
		}
	}()
	conn, err = c.Connector.Connect(bounded)
	if err != nil && ctx.Err() == nil && bounded.Err() != nil {
		err = fmt.Errorf("%w within %v: the relay and the Queue's workers need separate connections: allow more in the pool or on the server, or set Options.Relay to RelayElsewhere: %w", errNoConnection, c.wait, err)
	}
	return conn, err
}

// close closes the pool for good, so that a connection of the app that is still working
// does not open another.
func (p *sidePool) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.db == nil {
		return nil
	}
	db := p.db
	p.db = nil
	return db.Close()
}
