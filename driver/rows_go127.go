//go:build go1.27

package driver

import "database/sql/driver"

// scansColumns reports whether rows scan themselves (Go 1.27); what such rows
// hold, only they can convert, so they cannot be read in advance.
func scansColumns(rows driver.Rows) bool {
	_, ok := rows.(driver.RowsColumnScanner)
	return ok
}

// shapeRows returns r with the RowsColumnScanner of its base, if that has one.
func shapeRows(r wrappedRows, saw func(error) error) driver.Rows {
	base, ok := r.baseRows().(driver.RowsColumnScanner)
	if !ok {
		return r
	}
	return &scanningRows{r, base, saw}
}

// scanningRows are wrapped rows that database/sql reads by NextRow.
type scanningRows struct {
	wrappedRows
	base driver.RowsColumnScanner
	saw  func(error) error
}

var _ driver.RowsColumnScanner = (*scanningRows)(nil)

// NextRow advances and counts.
func (r *scanningRows) NextRow() error { return r.saw(r.base.NextRow()) }

// ScanColumn passes through.
func (r *scanningRows) ScanColumn(ctx driver.ScanContext, index int, dest any) error {
	return r.base.ScanColumn(ctx, index, dest)
}
