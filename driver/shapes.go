package driver

import (
	"context"
	"database/sql/driver"
)

// core is what every wrapped connection has. The rest database/sql must find
// exactly where the base connection has it: an Execer that is not there makes
// it prepare, a SessionResetter too many would hide that a session is not reset.
type core interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.Pinger
	driver.NamedValueChecker
	unwrap() *conn
}

// The optional methods of conn. They are structs, because a call through an
// embedded interface costs as much again as what it does for a statement of no
// interest.
type (
	execs    struct{ c *conn }
	queries  struct{ c *conn }
	resets   struct{ c *conn }
	validity struct{ c *conn }
)

func (e execs) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return e.c.ExecContext(ctx, query, args)
}

func (q queries) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return q.c.QueryContext(ctx, query, args)
}

func (r resets) ResetSession(ctx context.Context) error { return r.c.ResetSession(ctx) }
func (v validity) IsValid() bool                        { return v.c.IsValid() }

// facade hides the optional methods of conn.
type facade struct{ c *conn }

var _ core = facade{}

func (f facade) unwrap() *conn                             { return f.c }
func (f facade) Prepare(query string) (driver.Stmt, error) { return f.c.Prepare(query) }
func (f facade) Close() error                              { return f.c.Close() }
func (f facade) Begin() (driver.Tx, error)                 { return f.c.Begin() }
func (f facade) Ping(ctx context.Context) error            { return f.c.Ping(ctx) }

func (f facade) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	return f.c.BeginTx(ctx, opts)
}

func (f facade) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	return f.c.PrepareContext(ctx, query)
}

func (f facade) CheckNamedValue(nv *driver.NamedValue) error { return f.c.CheckNamedValue(nv) }

// shape returns c as a connection with the optional interfaces of its base.
func shape(c *conn) driver.Conn {
	f := facade{c}
	bits := 0
	for i, has := range []bool{c.opt.execs(), c.opt.queries(), c.opt.resets} {
		if has {
			bits |= 1 << i
		}
	}
	if c.opt.validity {
		return shapeValid(c, f, bits)
	}
	switch bits {
	case 0:
		return f
	case 1:
		return struct {
			facade
			execs
		}{f, execs{c}}
	case 2:
		return struct {
			facade
			queries
		}{f, queries{c}}
	case 3:
		return struct {
			facade
			execs
			queries
		}{f, execs{c}, queries{c}}
	case 4:
		return struct {
			facade
			resets
		}{f, resets{c}}
	case 5:
		return struct {
			facade
			execs
			resets
		}{f, execs{c}, resets{c}}
	case 6:
		return struct {
			facade
			queries
			resets
		}{f, queries{c}, resets{c}}
	case 7:
		return struct {
			facade
			execs
			queries
			resets
		}{f, execs{c}, queries{c}, resets{c}}
	}
	panic("driver: no such shape")
}

// shapeValid is shape for a base with IsValid.
func shapeValid(c *conn, f facade, bits int) driver.Conn {
	switch bits {
	case 0:
		return struct {
			facade
			validity
		}{f, validity{c}}
	case 1:
		return struct {
			facade
			execs
			validity
		}{f, execs{c}, validity{c}}
	case 2:
		return struct {
			facade
			queries
			validity
		}{f, queries{c}, validity{c}}
	case 3:
		return struct {
			facade
			execs
			queries
			validity
		}{f, execs{c}, queries{c}, validity{c}}
	case 4:
		return struct {
			facade
			resets
			validity
		}{f, resets{c}, validity{c}}
	case 5:
		return struct {
			facade
			execs
			resets
			validity
		}{f, execs{c}, resets{c}, validity{c}}
	case 6:
		return struct {
			facade
			queries
			resets
			validity
		}{f, queries{c}, resets{c}, validity{c}}
	case 7:
		return struct {
			facade
			execs
			queries
			resets
			validity
		}{f, execs{c}, queries{c}, resets{c}, validity{c}}
	}
	panic("driver: no such shape")
}
