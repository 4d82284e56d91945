package screen

import (
	"fmt"
	"time"
)

// Time returns a time as it is and how long ago it was: "2026-11-30 16:04:05.123456 (2 h ago)".
func (s *Screen) Time(t time.Time) string {
	return s.Exact(t) + " (" + s.Ago(t) + ")"
}

// Exact returns a time to the microsecond, in the zone of [Screen.ZoneName].
func (s *Screen) Exact(t time.Time) string {
	return t.In(s.Zone).Format("2006-01-02 15:04:05.000000")
}

// Second returns a time to the second, for lists.
func (s *Screen) Second(t time.Time) string { return t.In(s.Zone).Format(time.DateTime) }

// Span returns two times to the second, "2026-11-30 16:04:05 to 2026-11-30 17:00:00", one if they are the same, and "until" the second if the
// first is not known.
func (s *Screen) Span(from, to time.Time) string {
	switch {
	case from.IsZero():
		return "until " + s.Second(to)
	case s.Second(from) == s.Second(to):
		return s.Second(to)
	}
	return s.Second(from) + " to " + s.Second(to)
}

// ZoneName says which zone times are in: "UTC", "CET (+01:00)".
func (s *Screen) ZoneName() string {
	name, offset := s.Now.In(s.Zone).Zone()
	if offset == 0 {
		return name
	}
	if name[0] == '+' || name[0] == '-' { // of a zone without a name
		return s.Now.In(s.Zone).Format("-07:00")
	}
	return name + " (" + s.Now.In(s.Zone).Format("-07:00") + ")"
}

// Ago returns how long ago it was, or how long it is until then, in the largest unit that is at least one.
func (s *Screen) Ago(t time.Time) string {
	d := s.Now.Sub(t)
	if d < 0 {
		return "in " + length(-d)
	}
	return length(d) + " ago"
}

func length(d time.Duration) string {
	const day = 24 * time.Hour
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{365 * day, "y"}, {day, "d"}, {time.Hour, "h"}, {time.Minute, "min"}} {
		if d >= unit.of {
			return fmt.Sprintf("%d %s", d/unit.of, unit.name)
		}
	}
	return fmt.Sprintf("%d s", d/time.Second)
}
