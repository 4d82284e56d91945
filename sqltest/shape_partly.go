package sqltest

import "database/sql/driver"

// contextConn is what all shapes of shapePartly have.
type contextConn interface {
	driver.Conn
	driver.ExecerContext
	driver.QueryerContext
}

// legacyExecer and legacyQueryer are driver.Execer and driver.Queryer, which
// are deprecated and still what old drivers have.
type legacyExecer interface {
	Exec(query string, args []driver.Value) (driver.Result, error)
}

type legacyQueryer interface {
	Query(query string, args []driver.Value) (driver.Rows, error)
}

// shapePartly shows the second four interfaces as s says.
//
//nolint:revive // one case for each of sixteen types
func shapePartly(c *conn, s Shape) driver.Conn {
	switch s {
	case Bare:
		return struct{ contextConn }{c}
	case ConnBeginTx:
		return struct {
			contextConn
			driver.ConnBeginTx
		}{c, c}
	case ConnPrepareContext:
		return struct {
			contextConn
			driver.ConnPrepareContext
		}{c, c}
	case ConnBeginTx | ConnPrepareContext:
		return struct {
			contextConn
			driver.ConnBeginTx
			driver.ConnPrepareContext
		}{c, c, c}
	case Pinger:
		return struct {
			contextConn
			driver.Pinger
		}{c, c}
	case ConnBeginTx | Pinger:
		return struct {
			contextConn
			driver.ConnBeginTx
			driver.Pinger
		}{c, c, c}
	case ConnPrepareContext | Pinger:
		return struct {
			contextConn
			driver.ConnPrepareContext
			driver.Pinger
		}{c, c, c}
	case ConnBeginTx | ConnPrepareContext | Pinger:
		return struct {
			contextConn
			driver.ConnBeginTx
			driver.ConnPrepareContext
			driver.Pinger
		}{c, c, c, c}
	case NamedValueChecker:
		return struct {
			contextConn
			driver.NamedValueChecker
		}{c, c}
	case ConnBeginTx | NamedValueChecker:
		return struct {
			contextConn
			driver.ConnBeginTx
			driver.NamedValueChecker
		}{c, c, c}
	case ConnPrepareContext | NamedValueChecker:
		return struct {
			contextConn
			driver.ConnPrepareContext
			driver.NamedValueChecker
		}{c, c, c}
	case ConnBeginTx | ConnPrepareContext | NamedValueChecker:
		return struct {
			contextConn
			driver.ConnBeginTx
			driver.ConnPrepareContext
			driver.NamedValueChecker
		}{c, c, c, c}
	case Pinger | NamedValueChecker:
		return struct {
			contextConn
			driver.Pinger
			driver.NamedValueChecker
		}{c, c, c}
	case ConnBeginTx | Pinger | NamedValueChecker:
		return struct {
			contextConn
			driver.ConnBeginTx
			driver.Pinger
			driver.NamedValueChecker
		}{c, c, c, c}
	case ConnPrepareContext | Pinger | NamedValueChecker:
		return struct {
			contextConn
			driver.ConnPrepareContext
			driver.Pinger
			driver.NamedValueChecker
		}{c, c, c, c}
	case ConnBeginTx | ConnPrepareContext | Pinger | NamedValueChecker:
		return struct {
			contextConn
			driver.ConnBeginTx
			driver.ConnPrepareContext
			driver.Pinger
			driver.NamedValueChecker
		}{c, c, c, c, c}
	default:
		panic(noShape(s))
	}
}

// shapeOldest shows Execer and Queryer as s says, and no others.
func shapeOldest(c *conn, s Shape) driver.Conn {
	switch s {
	case Bare:
		return struct{ driver.Conn }{c}
	case Execer:
		return struct {
			driver.Conn
			legacyExecer
		}{c, c}
	case Queryer:
		return struct {
			driver.Conn
			legacyQueryer
		}{c, c}
	case Execer | Queryer:
		return struct {
			driver.Conn
			legacyExecer
			legacyQueryer
		}{c, c, c}
	default:
		panic(noShape(s))
	}
}
