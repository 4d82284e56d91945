//go:build !go1.27

package driver

import "database/sql/driver"

// Before Go 1.27 rows have one shape.
func scansColumns(driver.Rows) bool { return false }

func shapeRows(r wrappedRows, _ func(error) error) driver.Rows { return r }
