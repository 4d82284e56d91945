package sqltest

import "database/sql/driver"

// A type has the methods that it embeds and no others, so each shape needs a
// type of its own.

// modernConn is what all shapes of shapeModern have.
type modernConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.Pinger
	driver.NamedValueChecker
}

// shapeModern shows the first four interfaces as s says, and all of the second four.
//
//nolint:revive // one case for each of sixteen types
func shapeModern(c *conn, s Shape) driver.Conn {
	switch s {
	case Bare:
		return struct{ modernConn }{c}
	case ExecerContext:
		return struct {
			modernConn
			driver.ExecerContext
		}{c, c}
	case QueryerContext:
		return struct {
			modernConn
			driver.QueryerContext
		}{c, c}
	case ExecerContext | QueryerContext:
		return struct {
			modernConn
			driver.ExecerContext
			driver.QueryerContext
		}{c, c, c}
	case SessionResetter:
		return struct {
			modernConn
			driver.SessionResetter
		}{c, c}
	case ExecerContext | SessionResetter:
		return struct {
			modernConn
			driver.ExecerContext
			driver.SessionResetter
		}{c, c, c}
	case QueryerContext | SessionResetter:
		return struct {
			modernConn
			driver.QueryerContext
			driver.SessionResetter
		}{c, c, c}
	case ExecerContext | QueryerContext | SessionResetter:
		return struct {
			modernConn
			driver.ExecerContext
			driver.QueryerContext
			driver.SessionResetter
		}{c, c, c, c}
	case Validator:
		return struct {
			modernConn
			driver.Validator
		}{c, c}
	case ExecerContext | Validator:
		return struct {
			modernConn
			driver.ExecerContext
			driver.Validator
		}{c, c, c}
	case QueryerContext | Validator:
		return struct {
			modernConn
			driver.QueryerContext
			driver.Validator
		}{c, c, c}
	case ExecerContext | QueryerContext | Validator:
		return struct {
			modernConn
			driver.ExecerContext
			driver.QueryerContext
			driver.Validator
		}{c, c, c, c}
	case SessionResetter | Validator:
		return struct {
			modernConn
			driver.SessionResetter
			driver.Validator
		}{c, c, c}
	case ExecerContext | SessionResetter | Validator:
		return struct {
			modernConn
			driver.ExecerContext
			driver.SessionResetter
			driver.Validator
		}{c, c, c, c}
	case QueryerContext | SessionResetter | Validator:
		return struct {
			modernConn
			driver.QueryerContext
			driver.SessionResetter
			driver.Validator
		}{c, c, c, c}
	case ExecerContext | QueryerContext | SessionResetter | Validator:
		return struct {
			modernConn
			driver.ExecerContext
			driver.QueryerContext
			driver.SessionResetter
			driver.Validator
		}{c, c, c, c, c}
	default:
		panic(noShape(s))
	}
}

// shapeOld shows the first four interfaces as s says, and no others.
//
//nolint:revive // one case for each of sixteen types
func shapeOld(c *conn, s Shape) driver.Conn {
	switch s {
	case Bare:
		return struct{ driver.Conn }{c}
	case ExecerContext:
		return struct {
			driver.Conn
			driver.ExecerContext
		}{c, c}
	case QueryerContext:
		return struct {
			driver.Conn
			driver.QueryerContext
		}{c, c}
	case ExecerContext | QueryerContext:
		return struct {
			driver.Conn
			driver.ExecerContext
			driver.QueryerContext
		}{c, c, c}
	case SessionResetter:
		return struct {
			driver.Conn
			driver.SessionResetter
		}{c, c}
	case ExecerContext | SessionResetter:
		return struct {
			driver.Conn
			driver.ExecerContext
			driver.SessionResetter
		}{c, c, c}
	case QueryerContext | SessionResetter:
		return struct {
			driver.Conn
			driver.QueryerContext
			driver.SessionResetter
		}{c, c, c}
	case ExecerContext | QueryerContext | SessionResetter:
		return struct {
			driver.Conn
			driver.ExecerContext
			driver.QueryerContext
			driver.SessionResetter
		}{c, c, c, c}
	case Validator:
		return struct {
			driver.Conn
			driver.Validator
		}{c, c}
	case ExecerContext | Validator:
		return struct {
			driver.Conn
			driver.ExecerContext
			driver.Validator
		}{c, c, c}
	case QueryerContext | Validator:
		return struct {
			driver.Conn
			driver.QueryerContext
			driver.Validator
		}{c, c, c}
	case ExecerContext | QueryerContext | Validator:
		return struct {
			driver.Conn
			driver.ExecerContext
			driver.QueryerContext
			driver.Validator
		}{c, c, c, c}
	case SessionResetter | Validator:
		return struct {
			driver.Conn
			driver.SessionResetter
			driver.Validator
		}{c, c, c}
	case ExecerContext | SessionResetter | Validator:
		return struct {
			driver.Conn
			driver.ExecerContext
			driver.SessionResetter
			driver.Validator
		}{c, c, c, c}
	case QueryerContext | SessionResetter | Validator:
		return struct {
			driver.Conn
			driver.QueryerContext
			driver.SessionResetter
			driver.Validator
		}{c, c, c, c}
	case ExecerContext | QueryerContext | SessionResetter | Validator:
		return struct {
			driver.Conn
			driver.ExecerContext
			driver.QueryerContext
			driver.SessionResetter
			driver.Validator
		}{c, c, c, c, c}
	default:
		panic(noShape(s))
	}
}
