//go:build go1.27

package sqltest

import (
	"database/sql"
	"database/sql/driver"
)

var _ driver.RowsColumnScanner = scannerRows{}

// scannerRows adds what Go 1.27 lets rows do: to scan by themselves.
type scannerRows struct{ *rows }

func (r scannerRows) NextRow() error { return r.call("Rows.NextRow", r.advance) }

func (r scannerRows) ScanColumn(ctx driver.ScanContext, i int, dest any) error {
	return r.call("Rows.ScanColumn", func() error {
		return sql.ConvertAssign(ctx, dest, r.row()[i])
	})
}

// scanner returns rows that scan by themselves and show what the shape says.
func scanner(r *rows, s Shape) driver.Rows {
	full := scannerRows{r}
	switch s & (NextResultSet | ColumnTypes) {
	case 0:
		return struct{ driver.RowsColumnScanner }{full}
	case NextResultSet:
		return struct {
			driver.RowsColumnScanner
			resultSets
		}{full, r}
	case ColumnTypes:
		return struct {
			driver.RowsColumnScanner
			columnTypes
		}{full, r}
	default:
		return struct {
			driver.RowsColumnScanner
			resultSets
			columnTypes
		}{full, r, r}
	}
}
