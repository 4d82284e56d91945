package dbtest

import (
	"strconv"
	"sync/atomic"
)

var names atomic.Int64

// Name returns a driver name that was not used yet: a name can be registered
// only once in a process. It begins as the base driver's does, since libraries
// recognise drivers by that.
func Name(base string) string {
	return base + "-audited-" + strconv.FormatInt(names.Add(1), 10)
}
