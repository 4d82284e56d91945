package search

import (
	"errors"
	"strconv"
	"time"
)

// zoned and local are the forms of a time with and without a zone. Fractions of a second may
// follow seconds.
var (
	zoned = []string{"2006-01-02T15:04Z07:00", "2006-01-02T15:04:05Z07:00"}
	local = []string{time.DateOnly, "2006-01-02T15:04", "2006-01-02T15:04:05"}
)

var errTime = errors.New("is no time: write 30s, 15m, 3h, 2d or 1w for so long ago, today, yesterday, 2026-11-30, or 2026-11-30T10:00Z")

var units = map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}

// longest is how long ago a time may be: beyond, a Duration overflows.
const longest = 200 * 366 * 24 * time.Hour

// ParseTime reads a time as a search has it: see "Times" in the documentation of the package. What it is relative to, and the
// zone of times without one, are those of now.
func ParseTime(s string, now time.Time) (time.Time, error) {
	year, month, day := now.Date()
	switch s {
	case "now":
		return now, nil
	case "today":
		return time.Date(year, month, day, 0, 0, 0, 0, now.Location()), nil
	case "yesterday":
		return time.Date(year, month, day-1, 0, 0, 0, 0, now.Location()), nil
	}
	for _, form := range zoned {
		if t, err := time.Parse(form, s); err == nil {
			return t, nil
		}
	}
	for _, form := range local {
		if t, err := time.ParseInLocation(form, s, now.Location()); err == nil {
			return t, nil
		}
	}
	return ago(s, now)
}

func ago(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, errTime
	}
	unit := units[s[len(s)-1]]
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 63)
	switch {
	case unit == 0 || err != nil && !errors.Is(err, strconv.ErrRange):
		return time.Time{}, errTime
	case err != nil || n > uint64(longest/unit):
		return time.Time{}, errors.New("is more than 200 years ago: leave it out")
	}
	return now.Add(-time.Duration(n) * unit), nil
}
