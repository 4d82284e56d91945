package driver

import (
	"context"
	"database/sql/driver"

	"github.com/go-aftercommit/aftercommit/internal/lent"
	"github.com/go-aftercommit/aftercommit/internal/ownlevel"
)

// besideConnector opens the handler's own connections. Where a session's defaults
// are others than PostgreSQL's, see isolation.go, they are wrapped.
type besideConnector struct {
	driver.Connector
	db *database
}

// Connect asks for the defaults of each session: they may be those of a role, or
// be changed meanwhile. It does not if they do not matter.
func (b *besideConnector) Connect(ctx context.Context) (driver.Conn, error) {
	base, err := b.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if ownlevel.Is(ctx) {
		return base, nil
	}
	c := newConn(b.db, base)
	if !c.defaults.ask(ctx) {
		return base, nil
	}
	c.defaults.set = true
	l := &loan{c: c, kind: loanBeside}
	return &besideConn{Conn: l.conn(), c: c}, nil
}

// besideConn is a connection that is lent until it is closed.
type besideConn struct {
	*lent.Conn
	c *conn
}

var (
	_ driver.SessionResetter = (*besideConn)(nil)
	_ driver.Validator       = (*besideConn)(nil)
	_ driver.Pinger          = (*besideConn)(nil)
)

func (b *besideConn) Close() error { return b.c.base.Close() }

func (b *besideConn) Ping(ctx context.Context) error { return b.c.Ping(ctx) }

func (b *besideConn) ResetSession(ctx context.Context) error {
	if b.c.opt.resets {
		return b.c.ResetSession(ctx)
	}
	return nil
}

func (b *besideConn) IsValid() bool {
	return !b.c.bad && (!b.c.opt.validity || b.c.IsValid())
}
