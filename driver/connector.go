package driver

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/ngrok/sqlmw"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// wrapped is what sql.Register gets.
type wrapped struct {
	reg  *registration
	base string
}

var _ driver.DriverContext = (*wrapped)(nil)

// Open serves callers of driver.Driver; database/sql itself uses OpenConnector.
func (w *wrapped) Open(dsn string) (driver.Conn, error) {
	c, err := w.OpenConnector(dsn)
	if err != nil {
		return nil, err
	}
	return c.Connect(context.Background())
}

// OpenConnector looks up the base driver and opens its connector.
func (w *wrapped) OpenConnector(dsn string) (driver.Connector, error) {
	d, err := lookup(w.base, dsn)
	if err != nil {
		return nil, fmt.Errorf("driver: base of %q: %w", w.reg.name, err)
	}
	base, err := openBase(d, dsn)
	if err != nil {
		return nil, err
	}
	return newConnector(w.reg, base)
}

// lookup finds a registered driver. database/sql gives it out only through a
// sql.DB, which opens no connection.
func lookup(name, dsn string) (driver.Driver, error) {
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

// connector opens wrapped connections of one database.
type connector struct {
	db *database
}

var (
	_ driver.Connector = (*connector)(nil)
	_ io.Closer        = (*connector)(nil)
)

func newConnector(reg *registration, base driver.Connector) (*connector, error) {
	db := &database{reg: reg, base: base, dialect: reg.cfg.dialect}
	if db.dialect == "" {
		db.dialect = recognise(base.Driver())
	}
	if db.dialect == "" {
		return nil, fmt.Errorf("driver: %T is not a driver that is recognised: say with driver.WithDialect whether %q speaks PostgreSQL or SQLite", base.Driver(), reg.name)
	}
	if db.dialect == hooks.SQLite {
		db.lexed = lex.SQLite
	}
	side := base
	if reg.cfg.side != nil {
		side = reg.cfg.side
	}
	h, err := reg.hook.Open(hooks.Database{
		Driver: reg.name, Dialect: db.dialect, Connector: side, Mode: reg.modeNow,
	})
	if err != nil {
		return nil, fmt.Errorf("driver: %q: %w", reg.name, err)
	}
	db.handler = h
	reg.mu.Lock()
	reg.dbs[db] = struct{}{}
	reg.mu.Unlock()
	return &connector{db: db}, nil
}

// recognise tells a driver's dialect by where its type comes from.
func recognise(d driver.Driver) hooks.Dialect {
	t := reflect.TypeOf(d)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	pkg := t.PkgPath()
	switch {
	case strings.HasPrefix(pkg, "github.com/lib/pq"), strings.HasPrefix(pkg, "github.com/jackc/pgx/"):
		return hooks.Postgres
	case strings.HasPrefix(pkg, "modernc.org/sqlite"), strings.HasPrefix(pkg, "github.com/mattn/go-sqlite3"),
		strings.HasPrefix(pkg, "github.com/ncruces/go-sqlite3"), strings.HasPrefix(pkg, "github.com/glebarez/"):
		return hooks.SQLite
	}
	return ""
}

// Connect opens a connection and lets the handler prepare it.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.db.connect(ctx)
	if err != nil {
		return nil, err
	}
	return shape(conn), nil
}

// Driver returns the base driver, which is what callers type-assert on.
func (c *connector) Driver() driver.Driver { return c.db.base.Driver() }

// Close is called by sql.DB.Close.
func (c *connector) Close() error {
	c.db.reg.mu.Lock()
	delete(c.db.reg.dbs, c.db)
	c.db.reg.mu.Unlock()
	if cl, ok := c.db.handler.(io.Closer); ok {
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
	base    driver.Connector
	dialect hooks.Dialect
	lexed   lex.Dialect
	handler hooks.Handler
}

func (db *database) connect(ctx context.Context) (*conn, error) {
	base, err := db.base.Connect(ctx)
	if err != nil {
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

// notify tells the handler's observers, whatever the handler does.
func (db *database) notify(n hooks.Notice) {
	n.Driver = db.reg.name
	defer func() { _ = recover() }()
	db.handler.Notify(n)
}
