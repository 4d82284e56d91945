package driver

import (
	"context"
	"database/sql/driver"
)

// Raw returns the base driver's connection, for use inside sql.Conn.Raw:
//
//	conn.Raw(func(dc any) error {
//		return driver.Raw(dc).(*stdlib.Conn).Conn().Ping(ctx)
//	})
//
// It works in every mode, and looks through other libraries' wrappers around the
// audited connection if they show what they wrap, as XSAM/otelsql does. A
// connection that is not audited is returned as it is.
//
// The driver cannot see what is done with the base connection, so Raw first writes
// the events that the transaction has so far, and counts what follows as
// uncaptured. If the events cannot be written, the transaction fails at its COMMIT
// in strict mode.
func Raw(dc any) any {
	conn, ok := dc.(driver.Conn)
	if !ok {
		return dc
	}
	for c := ours(conn); c != nil; c = ours(c.base) {
		c.expectUnseen()
		dc = c.base
	}
	return dc
}

// expectUnseen prepares for a use of the base connection that cannot be seen.
func (c *conn) expectUnseen() {
	ctx := context.Background()
	if c.tx.Suspected() {
		c.recheck(ctx)
	}
	if c.bad {
		return
	}
	if err := c.beforeUnseen(ctx); err != nil {
		c.tx.Break(err)
	}
	c.askBeforeUse(nil)
	if c.tells {
		c.noteWriter(ctx)
	}
	c.uncaptured(1, "raw")
}

// Base returns the driver that is wrapped, for code that asserts its type:
//
//	_, ok := driver.Base(db.Driver()).(*pq.Driver)
//
// sql.DB.Driver returns the wrapping driver, because tracers open connections
// with it. Connections of the base driver are not audited. A driver that is not
// wrapped is returned as it is, and so is that of another library's wrapper that
// does not show what it wraps, such as XSAM/otelsql's.
func Base(d driver.Driver) driver.Driver {
	for w := oursOf(d); w != nil; w = oursOf(d) {
		base := w.below()
		if base == nil {
			break // nothing was opened with it
		}
		d = base
	}
	return d
}

// below returns the base driver, nil before anything was opened with it.
func (w *wrapped) below() driver.Driver {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.base
}

// ours returns the first connection of this package among the layers of c, nil if there is
// none.
func ours(c driver.Conn) *conn {
	for c := range layers(c) {
		if f, ok := c.(interface{ unwrap() *conn }); ok {
			return f.unwrap()
		}
	}
	return nil
}

// innermost returns the last connection of this package below c, nil if there is none.
func innermost(c driver.Conn) (last *conn) {
	for o := ours(c); o != nil; o = ours(o.base) {
		last = o
	}
	return last
}

// oursOf is ours for drivers.
func oursOf(d driver.Driver) *wrapped {
	for range maxWrappers {
		if w, ok := d.(*wrapped); ok {
			return w
		}
		if d = belowDriver(d); d == nil {
			break
		}
	}
	return nil
}

// underOurs is the connector below ours.
func underOurs(c driver.Connector) driver.Connector {
	for {
		o, ok := c.(*connector)
		if !ok {
			return c
		}
		c = o.db.base
	}
}
