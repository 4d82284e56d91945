package main

import (
	"context"
	"database/sql"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest/others"
)

// wrapper is a driver that wraps another; open opens it over null.
type wrapper struct {
	name string
	open func() (*sql.DB, error)
}

var wrappers = allWrappers()

func allWrappers() []wrapper {
	all := []wrapper{
		{"bare", func() (*sql.DB, error) { return sql.OpenDB(null{}), nil }},
		{"aftercommit", openAudited},
	}
	for _, o := range others.Wrappers() {
		sql.Register(o.Name, o.Wrap(null{}))
		all = append(all, wrapper{o.Name, func() (*sql.DB, error) { return sql.Open(o.Name, "") }})
	}
	return all
}

// openAudited captures all tables, into a journal that costs nothing.
func openAudited() (*sql.DB, error) {
	c, err := driver.WrapConnector(null{}, nowhere{}, driver.WithDialect(hooks.Postgres), driver.Capture(driver.AllTables()))
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
