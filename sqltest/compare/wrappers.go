package main

import (
	"context"
	"database/sql"
	"database/sql/driver"

	"github.com/XSAM/otelsql"
	"github.com/ngrok/sqlmw"
	"github.com/qustavo/sqlhooks/v2"

	audit "github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// wrapper is a driver that wraps another; open opens it over null, as its users
// do who want nothing of it yet.
type wrapper struct {
	name string
	open func() (*sql.DB, error)
}

var wrappers = []wrapper{
	{"bare", func() (*sql.DB, error) { return sql.OpenDB(null{}), nil }},
	{"aftercommit", openAudited},
	{"sqlmw", func() (*sql.DB, error) { return open(sqlmw.Driver(null{}, sqlmw.NullInterceptor{})) }},
	{"otelsql", func() (*sql.DB, error) { return open(otelsql.WrapDriver(null{})) }},
	{"sqlhooks", func() (*sql.DB, error) { return open(sqlhooks.Wrap(null{}, noHooks{})) }},
}

// open opens a driver without a name.
func open(d driver.Driver) (*sql.DB, error) {
	if dc, ok := d.(driver.DriverContext); ok {
		c, err := dc.OpenConnector("")
		if err != nil {
			return nil, err
		}
		return sql.OpenDB(c), nil
	}
	return sql.OpenDB(connector{d}), nil
}

type connector struct{ d driver.Driver }

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.d.Open("") }
func (c connector) Driver() driver.Driver                        { return c.d }

// openAudited captures all tables, into a journal that costs nothing.
func openAudited() (*sql.DB, error) {
	c, err := audit.WrapConnector(null{}, nowhere{}, audit.WithDialect(hooks.Postgres), audit.Capture(audit.AllTables()))
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(c), nil
}

// nowhere is a hook that writes nothing and says that it did.
type nowhere struct{}

func (nowhere) Open(hooks.Database) (hooks.Handler, error)         { return nowhere{}, nil }
func (nowhere) Connect(context.Context, *sql.DB) error             { return nil }
func (nowhere) Flush(context.Context, hooks.Flush) (bool, error)   { return true, nil }
func (nowhere) End(_ context.Context, e hooks.Ended) hooks.Outcome { return e.Outcome }
func (nowhere) Notify(hooks.Notice)                                {}
func (nowhere) Close(context.Context) error                        { return nil }

// noHooks are sqlhooks' that do nothing.
type noHooks struct{}

func (noHooks) Before(ctx context.Context, _ string, _ ...any) (context.Context, error) {
	return ctx, nil
}

func (noHooks) After(ctx context.Context, _ string, _ ...any) (context.Context, error) {
	return ctx, nil
}
