//go:build !go1.27

package sqltest

import "database/sql/driver"

// scanner returns nil: before Go 1.27 rows cannot scan by themselves.
func scanner(*rows, Shape) driver.Rows { return nil }
