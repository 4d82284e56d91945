package driver

import (
	"context"
	"database/sql/driver"
)

// besideConnector opens the handler's own connections. Where a session's defaults
// are others than PostgreSQL's, see isolation.go, they are wrapped.
type besideConnector struct {
	driver.Connector
	db *database
}

// Connect asks for the defaults of each session: they may be those of a role, or
// be changed meanwhile.
func (b *besideConnector) Connect(ctx context.Context) (driver.Conn, error) {
	base, err := b.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	c := newConn(b.db, base)
	if !c.askDefaults(ctx) {
		return base, nil
	}
	c.set = true
	return &besideConn{lentConn{&lease{c: c, kind: leaseBeside, ctx: context.Background()}}}, nil
}

// besideConn is a connection that is lent until it is closed.
type besideConn struct{ lentConn }

var (
	_ driver.SessionResetter = (*besideConn)(nil)
	_ driver.Validator       = (*besideConn)(nil)
	_ driver.Pinger          = (*besideConn)(nil)
)

func (b *besideConn) Close() error { return b.l.c.base.Close() }

func (b *besideConn) Ping(ctx context.Context) error { return b.l.c.Ping(ctx) }

func (b *besideConn) ResetSession(ctx context.Context) error {
	if b.l.c.opt.resets {
		return b.l.c.ResetSession(ctx)
	}
	return nil
}

func (b *besideConn) IsValid() bool {
	return !b.l.c.bad && (!b.l.c.opt.validity || b.l.c.IsValid())
}
