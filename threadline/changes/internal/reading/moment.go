package reading

import (
	"time"
)

// The first and the last time that are compared as texts.
var (
	firstTime = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	lastTime  = time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
)

// Bounded returns a time, or the first or the last one that can be compared as a text. All changes are between them.
func Bounded(at time.Time) time.Time {
	switch {
	case at.Before(firstTime):
		return firstTime
	case at.After(lastTime):
		return lastTime
	}
	return at
}
