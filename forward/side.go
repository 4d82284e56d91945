package forward

import (
	"database/sql"
	"errors"
	"sync"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// sidePool is a pool beside the app's, over the base driver's connector. It is
// made when it is needed for the first time.
type sidePool struct {
	mu     sync.Mutex
	db     *sql.DB
	closed bool
}

var (
	errClosed = errors.New("the Hub is closed")
	errNoSide = errors.New("a second connection to an SQLite file would disturb the app's")
	errNoBase = errors.New("there is no connector for the base driver")
)

// sideDB returns the pool. There is none on SQLite, where a second writer breaks
// apps without a busy timeout.
func (d *handler) sideDB() (*sql.DB, error) {
	if d.db.Dialect != hooks.Postgres {
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
		db := sql.OpenDB(d.db.Connector)
		db.SetMaxOpenConns(2)
		db.SetConnMaxIdleTime(time.Minute)
		d.side.db = db
		d.hub.keep(d)
	}
	return d.side.db, nil
}

// settleDB is sideDB for Settle, which somebody asked for: on SQLite it is one
// connection for as long as it takes.
func (d *handler) settleDB() (db *sql.DB, done func(), err error) {
	if d.db.Dialect != hooks.SQLite {
		db, err = d.sideDB()
		return db, func() {}, err
	}
	if d.db.Connector == nil {
		return nil, nil, errNoBase
	}
	db = sql.OpenDB(d.db.Connector)
	db.SetMaxOpenConns(1)
	return db, func() { _ = db.Close() }, nil
}

// close closes the pool for good.
func (p *sidePool) close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	return p.drop()
}

// drop closes the pool until it is needed again.
func (p *sidePool) drop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.db == nil {
		return nil
	}
	db := p.db
	p.db = nil
	return db.Close()
}
