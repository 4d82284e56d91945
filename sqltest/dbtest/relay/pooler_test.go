package relay_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// pooler is a driver whose connections outlive the server's, as those to a transaction
// pooler do: a statement gets a new one if the old one is dead.
type pooler struct{ driver.Driver }

func (p pooler) Open(name string) (driver.Conn, error) {
	base, err := p.Driver.Open(name)
	return &pooled{Conn: base, open: func() (driver.Conn, error) { return p.Driver.Open(name) }}, err
}

type pooled struct {
	driver.Conn
	open func() (driver.Conn, error)
}

// alive replaces the connection until one answers.
func (p *pooled) alive(c context.Context) error {
	deadline := time.Now().Add(dbtest.Patience)
	for p.Conn.(driver.Pinger).Ping(c) != nil {
		if c.Err() != nil || time.Now().After(deadline) {
			return errors.Join(c.Err(), errors.New("no server"))
		}
		if base, err := p.open(); err == nil {
			_ = p.Close()
			p.Conn = base
		}
	}
	return nil
}

func (p *pooled) ExecContext(c context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := p.alive(c); err != nil {
		return nil, err
	}
	return p.Conn.(driver.ExecerContext).ExecContext(c, query, args)
}

func (p *pooled) QueryContext(c context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := p.alive(c); err != nil {
		return nil, err
	}
	return p.Conn.(driver.QueryerContext).QueryContext(c, query, args)
}
