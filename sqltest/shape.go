package sqltest

import (
	"database/sql/driver"
	"iter"
	"reflect"
)

// Shape is a set of the optional interfaces of database/sql/driver. It says
// what the connections, statements and rows of a [Fake] show to a type
// assertion: exactly these, and none beside them.
type Shape uint32

// The optional interfaces of a connection. Sets of the first four are possible
// alone and together with all of the second four; sets of the second four are
// possible with both ExecerContext and QueryerContext and neither of the others;
// Execer and Queryer, the forms without a context, are possible alone.
const (
	ExecerContext Shape = 1 << iota
	QueryerContext
	SessionResetter
	Validator

	ConnBeginTx
	ConnPrepareContext
	Pinger
	NamedValueChecker

	Execer
	Queryer
)

// The optional interfaces of a statement. Every set is possible.
const (
	StmtExecContext Shape = 1 << (iota + 16)
	StmtQueryContext
	StmtNamedValueChecker
	StmtColumnConverter
)

// The optional interfaces of rows. Every set is possible. ColumnTypes stands
// for all five RowsColumnType… interfaces. ColumnScanner is Go 1.27's
// RowsColumnScanner, and means nothing to earlier versions.
const (
	NextResultSet Shape = 1 << (iota + 24)
	ColumnTypes
	ColumnScanner
)

// Common shapes.
const (
	// Bare has no optional interface at all.
	Bare Shape = 0
	// Modern is what a driver of today has.
	Modern = ExecerContext | QueryerContext | SessionResetter | Validator |
		modernConnShape |
		StmtExecContext | StmtQueryContext |
		NextResultSet | ColumnTypes

	modernConnShape = ConnBeginTx | ConnPrepareContext | Pinger | NamedValueChecker
	firstFour       = ExecerContext | QueryerContext | SessionResetter | Validator
	connShape       = firstFour | modernConnShape | Execer | Queryer
	stmtShape       = StmtExecContext | StmtQueryContext | StmtNamedValueChecker | StmtColumnConverter
	rowsShape       = NextResultSet | ColumnTypes | ColumnScanner
)

// Subsets yields every set of the interfaces in s, the empty one first.
func (s Shape) Subsets() iter.Seq[Shape] {
	return func(yield func(Shape) bool) {
		sub := Shape(0)
		for yield(sub) && sub != s {
			sub = (sub - s) & s
		}
	}
}

// The interfaces of the driver that a value can be asked for, by bit.
var optional = []struct {
	bit Shape
	typ reflect.Type
}{
	{ExecerContext, reflect.TypeFor[driver.ExecerContext]()},
	{QueryerContext, reflect.TypeFor[driver.QueryerContext]()},
	{SessionResetter, reflect.TypeFor[driver.SessionResetter]()},
	{Validator, reflect.TypeFor[driver.Validator]()},
	{ConnBeginTx, reflect.TypeFor[driver.ConnBeginTx]()},
	{ConnPrepareContext, reflect.TypeFor[driver.ConnPrepareContext]()},
	{Pinger, reflect.TypeFor[driver.Pinger]()},
	{NamedValueChecker, reflect.TypeFor[driver.NamedValueChecker]()},
	{Execer, reflect.TypeFor[driver.Execer]()},   //nolint:staticcheck // drivers that have it must be wrapped too
	{Queryer, reflect.TypeFor[driver.Queryer]()}, //nolint:staticcheck // as above
	{StmtExecContext, reflect.TypeFor[driver.StmtExecContext]()},
	{StmtQueryContext, reflect.TypeFor[driver.StmtQueryContext]()},
	{StmtNamedValueChecker, reflect.TypeFor[driver.NamedValueChecker]()},
	{StmtColumnConverter, reflect.TypeFor[driver.ColumnConverter]()}, //nolint:staticcheck // as above
	{NextResultSet, reflect.TypeFor[driver.RowsNextResultSet]()},
	{ColumnTypes, reflect.TypeFor[everyColumnType]()},
	{ColumnScanner, reflect.TypeFor[columnScanner]()},
}

type everyColumnType interface {
	driver.Rows
	columnTypes
}

// columnScanner is the method by which RowsColumnScanner is known, in all
// versions of Go.
type columnScanner interface{ NextRow() error }

// ConnShape returns the optional interfaces that c has.
func ConnShape(c driver.Conn) Shape { return shapeOf(c, connShape) }

// StmtShape returns the optional interfaces that s has.
func StmtShape(s driver.Stmt) Shape { return shapeOf(s, stmtShape) }

// RowsShape returns the optional interfaces that r has.
func RowsShape(r driver.Rows) Shape { return shapeOf(r, rowsShape) }

func shapeOf(v any, among Shape) Shape {
	var s Shape
	for _, o := range optional {
		if among&o.bit != 0 && reflect.TypeOf(v).Implements(o.typ) {
			s |= o.bit
		}
	}
	return s
}

// String names the interfaces, as in "ExecerContext|Pinger".
func (s Shape) String() string {
	if s == Bare {
		return "bare"
	}
	names := ""
	for _, o := range optional {
		if s&o.bit == 0 {
			continue
		}
		if names != "" {
			names += "|"
		}
		switch o.bit {
		case StmtNamedValueChecker:
			names += "StmtNamedValueChecker"
		case ColumnTypes:
			names += "ColumnTypes"
		case ColumnScanner:
			names += "ColumnScanner"
		default:
			names += o.typ.Name()
		}
	}
	return names
}

// shapeConn shows c as a connection of the shape. It panics if there is none,
// see the constants.
func shapeConn(c *conn, s Shape) driver.Conn {
	s &= connShape
	switch {
	case s&^firstFour == modernConnShape:
		return shapeModern(c, s&firstFour)
	case s&^firstFour == 0:
		return shapeOld(c, s)
	case s&^modernConnShape == ExecerContext|QueryerContext:
		return shapePartly(c, s&modernConnShape)
	default:
		return shapeOldest(c, s)
	}
}

func noShape(s Shape) string {
	return "sqltest: nothing can have the shape " + s.String() + ": see the constants of Shape for those that exist"
}
