package driver

import (
	"context"
	"database/sql/driver"
	"fmt"
	"io"
	"reflect"
	"sync/atomic"

	"github.com/ngrok/sqlmw"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/driver/internal/txn"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// connector opens wrapped connections of one database.
type connector struct {
	db *database
}

var (
	_ driver.Connector = (*connector)(nil)
	_ io.Closer        = (*connector)(nil)
)

func newConnector(w *wrapped, base driver.Connector) (driver.Connector, error) {
	reg := w.reg
	name, err := dialectOf(base.Driver(), reg.cfg.dialect)
	if err != nil {
		if reg.onlyOff(err) {
			return unaudited{base, w}, nil
		}
		return nil, fmt.Errorf("driver: %q: %w", reg.name, err)
	}
	if err = reg.checkTwice(base.Driver(), name); err != nil {
		return nil, err
	}
	d := dialects[name]
	// Of two connections each would replace the other's witness.
	if inner := oursOf(base.Driver()); inner != nil && d.facts().savepointWitness {
		return nil, fmt.Errorf("driver: %q wraps %q, and a %s database can be audited only once: register one of them", reg.name, inner.reg.name, name)
	}
	db := &database{reg: reg, driver: w, base: base, dialect: d, lexed: d.lexer()}
	db.txns = db.txnConfig()
	side := underOurs(base)
	if reg.cfg.side != nil {
		side = reg.cfg.side
	}
	if d.facts().defaults {
		side = &besideConnector{side, db}
	}
	h, err := reg.hook.Open(hooks.Database{
		Driver: reg.name, Dialect: name, Connector: side, Mode: reg.modeNow, Capture: reg.cfg.rules.String(),
	})
	if err != nil {
		if !d.facts().journaled && reg.onlyOff(err) {
			return unaudited{base, w}, nil
		}
		return nil, fmt.Errorf("driver: %q: %w", reg.name, err)
	}
	db.handler = handler{hook: h, driver: reg.name}
	reg.mu.Lock()
	reg.dbs[db] = struct{}{}
	reg.mu.Unlock()
	return &connector{db: db}, nil
}

// checkTwice returns an error if r wraps a driver of ours with the same hook, or with a hook
// that writes to the same journal: each event would be there twice.
func (r *registration) checkTwice(base driver.Driver, dialect hooks.Dialect) error {
	for inner := oursOf(base); inner != nil; inner = oursOf(inner.below()) {
		if sameHook(inner.reg.hook, r.hook) {
			return fmt.Errorf("driver: %q wraps %q, and both have the same hook, which would get each event twice: register one of them", r.name, inner.reg.name)
		}
		if name := journalOf(r.hook, dialect); name != "" && name == journalOf(inner.reg.hook, dialect) {
			return fmt.Errorf("driver: %q wraps %q, and the hooks of both write to the journal %q, which would get each event twice: "+
				"register one of them, or give one a journal of its own, by journal.Options{Schema: …}", r.name, inner.reg.name, name)
		}
	}
	return nil
}

func journalOf(h hooks.Hook, dialect hooks.Dialect) string {
	if j, ok := h.(hooks.Journaled); ok {
		return j.Journal(dialect)
	}
	return ""
}

func sameHook(a, b hooks.Hook) bool {
	return reflect.TypeOf(a).Kind() == reflect.Pointer && a == b
}

// Connect opens a connection and lets the handler prepare it.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.db.connect(ctx)
	if err != nil {
		return nil, err
	}
	return shape(conn), nil
}

// Driver returns the wrapping driver; see [Base].
func (c *connector) Driver() driver.Driver { return c.db.driver }

// Close is called by sql.DB.Close.
func (c *connector) Close() error {
	c.db.reg.mu.Lock()
	delete(c.db.reg.dbs, c.db)
	c.db.reg.mu.Unlock()
	if cl, ok := c.db.handler.hook.(io.Closer); ok {
		_ = cl.Close()
	}
	if cl, ok := c.db.base.(io.Closer); ok {
		return cl.Close()
	}
	return nil
}

// database is what all connections of one connector share.
type database struct {
	reg     *registration
	driver  *wrapped
	base    driver.Connector
	dialect dialect
	lexed   lex.Dialect
	txns    *txn.Config
	handler handler

	// What its connections find out, once for all of them.
	access          access
	defaults        learntDefaults
	modes           execModes
	noInTransaction atomic.Bool // MySQL has no @@in_transaction, which MariaDB has
}

// connect opens a connection, and another one if it was given up while it was prepared.
func (db *database) connect(ctx context.Context) (*conn, error) {
	c, err := db.connectOnce(ctx)
	if err != nil || !c.bad {
		return c, err
	}
	_ = c.Close()
	return db.connectOnce(ctx)
}

func (db *database) connectOnce(ctx context.Context) (*conn, error) {
	base, err := db.base.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if err = db.checkClaim(base); err != nil {
		_ = base.Close()
		return nil, err
	}
	c := newConn(db, base)
	mw, err := sqlmw.Driver(opener{c}, interceptor{}).Open("")
	if err != nil {
		_ = base.Close()
		return nil, err
	}
	c.mw = mw.(driver.ConnBeginTx)
	if db.reg.modeNow() == hooks.Off {
		return c, nil
	}
	if err := c.prepareConn(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// opener hands sqlmw the connection whose transactions it carries.
type opener struct{ c *conn }

func (o opener) Open(string) (driver.Conn, error) { return inner{o.c}, nil }
