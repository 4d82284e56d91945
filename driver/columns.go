package driver

import (
	"database/sql/driver"
	"io"
	"reflect"
	"slices"
)

// columns answers for the optional interfaces of rows: from the base rows, or
// from what those said at the start of the result set. What the base does not
// implement is answered as database/sql would.
type columns struct {
	base driver.Rows
	kept *description // nil while the base rows can be asked
}

// description is what rows say of the columns of a result set. A driver may
// forget it with the last row.
type description struct {
	names []string
	types []columnType
}

type columnType struct {
	scan             reflect.Type
	database         string
	length           int64
	hasLength        bool
	nullable         bool
	hasNullable      bool
	precision, scale int64
	hasDecimal       bool
}

// describe asks rows for all that they say of the current result set.
func describe(rows driver.Rows) *description {
	c := columns{base: rows}
	d := &description{names: slices.Clone(rows.Columns())}
	d.types = make([]columnType, len(d.names))
	for i := range d.types {
		t := &d.types[i]
		t.scan = c.ColumnTypeScanType(i)
		t.database = c.ColumnTypeDatabaseTypeName(i)
		t.length, t.hasLength = c.ColumnTypeLength(i)
		t.nullable, t.hasNullable = c.ColumnTypeNullable(i)
		t.precision, t.scale, t.hasDecimal = c.ColumnTypePrecisionScale(i)
	}
	return d
}

func (c *columns) Columns() []string {
	if c.kept != nil {
		return c.kept.names
	}
	return c.base.Columns()
}

func (c *columns) ColumnTypeScanType(i int) reflect.Type {
	if c.kept != nil {
		return c.kept.types[i].scan
	}
	if p, ok := c.base.(driver.RowsColumnTypeScanType); ok {
		return p.ColumnTypeScanType(i)
	}
	return reflect.TypeFor[any]()
}

func (c *columns) ColumnTypeDatabaseTypeName(i int) string {
	if c.kept != nil {
		return c.kept.types[i].database
	}
	if p, ok := c.base.(driver.RowsColumnTypeDatabaseTypeName); ok {
		return p.ColumnTypeDatabaseTypeName(i)
	}
	return ""
}

func (c *columns) ColumnTypeLength(i int) (int64, bool) {
	if c.kept != nil {
		return c.kept.types[i].length, c.kept.types[i].hasLength
	}
	if p, ok := c.base.(driver.RowsColumnTypeLength); ok {
		return p.ColumnTypeLength(i)
	}
	return 0, false
}

func (c *columns) ColumnTypeNullable(i int) (nullable, ok bool) {
	if c.kept != nil {
		return c.kept.types[i].nullable, c.kept.types[i].hasNullable
	}
	if p, ok := c.base.(driver.RowsColumnTypeNullable); ok {
		return p.ColumnTypeNullable(i)
	}
	return false, false
}

func (c *columns) ColumnTypePrecisionScale(i int) (precision, scale int64, ok bool) {
	if c.kept != nil {
		t := &c.kept.types[i]
		return t.precision, t.scale, t.hasDecimal
	}
	if p, ok := c.base.(driver.RowsColumnTypePrecisionScale); ok {
		return p.ColumnTypePrecisionScale(i)
	}
	return 0, 0, false
}

// HasNextResultSet asks the base rows; without the method there is no other set.
func (c *columns) HasNextResultSet() bool {
	p, ok := c.base.(driver.RowsNextResultSet)
	return ok && p.HasNextResultSet()
}

// NextResultSet is the counterpart of HasNextResultSet.
func (c *columns) NextResultSet() error {
	if p, ok := c.base.(driver.RowsNextResultSet); ok {
		return p.NextResultSet()
	}
	return io.EOF
}

func (c *columns) baseRows() driver.Rows { return c.base }

// wrappedRows is what all kinds of wrapped rows have.
type wrappedRows interface {
	driver.Rows
	driver.RowsNextResultSet
	driver.RowsColumnTypeScanType
	driver.RowsColumnTypeDatabaseTypeName
	driver.RowsColumnTypeLength
	driver.RowsColumnTypeNullable
	driver.RowsColumnTypePrecisionScale
	baseRows() driver.Rows
}
