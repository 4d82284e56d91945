package sqltest

import (
	"database/sql/driver"
	"reflect"
)

// resultSets is driver.RowsNextResultSet without driver.Rows.
type resultSets interface {
	HasNextResultSet() bool
	NextResultSet() error
}

// columnTypes is the five driver.RowsColumnType… without driver.Rows.
type columnTypes interface {
	ColumnTypeDatabaseTypeName(i int) string
	ColumnTypeScanType(i int) reflect.Type
	ColumnTypeLength(i int) (length int64, ok bool)
	ColumnTypeNullable(i int) (nullable, ok bool)
	ColumnTypePrecisionScale(i int) (precision, scale int64, ok bool)
}

// shapeRows shows rows as s says.
func shapeRows(r *rows, s Shape) driver.Rows {
	if s&ColumnScanner != 0 {
		if scans := scanner(r, s); scans != nil {
			return scans
		}
	}
	return shapePlain(r, s&(NextResultSet|ColumnTypes))
}

// shapePlain shows rows without ColumnScanner.
func shapePlain(r *rows, s Shape) driver.Rows {
	switch s {
	case Bare:
		return struct{ driver.Rows }{r}
	case NextResultSet:
		return struct {
			driver.Rows
			resultSets
		}{r, r}
	case ColumnTypes:
		return struct {
			driver.Rows
			columnTypes
		}{r, r}
	case NextResultSet | ColumnTypes:
		return struct {
			driver.Rows
			resultSets
			columnTypes
		}{r, r, r}
	default:
		panic(noShape(s))
	}
}
