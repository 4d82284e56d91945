package dbtest

import (
	"database/sql"
	"database/sql/driver"
	"strconv"
	"sync/atomic"
	"testing"
)

var names atomic.Int64

// Name returns a driver name that was not used yet: a name can be registered
// only once in a process. It begins as the base driver's does, since libraries
// recognise drivers by that.
func Name(base string) string {
	return base + "-audited-" + strconv.FormatInt(names.Add(1), 10)
}

// Wrap registers the driver of a name, wrapped, and returns the new name.
func Wrap(tb testing.TB, base string, wrap func(driver.Driver) driver.Driver) string {
	tb.Helper()
	name := Name(base)
	sql.Register(name, wrap(Open(tb, base, "").Driver()))
	return name
}
