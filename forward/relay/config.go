package relay

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxDuration is the most that a duration of a Config or a Target may be: an hour more than a Hub
// lets a forwarder take. PostgreSQL's timeouts are less than 25 days.
const maxDuration = 25 * time.Hour

// check returns what is wrong with what a relay is made of.
func (c *Config) check(s *Store, db *sql.DB) error {
	switch {
	case s == nil || db == nil:
		return errors.New("relay: the Store or the database is nil")
	case c.Lease < 0:
		return fmt.Errorf("relay: Config.Lease is %v: use one above 0, or 0 for the default", c.Lease)
	case c.Lease > maxDuration:
		return fmt.Errorf("relay: Config.Lease is %v: use at most %v", c.Lease, maxDuration)
	case c.Poll > maxDuration:
		return fmt.Errorf("relay: Config.Poll is %v: use at most %v", c.Poll, maxDuration)
	case c.Batch < 0:
		return fmt.Errorf("relay: Config.Batch is %d entries: use 1 or more, or 0 for the default", c.Batch)
	case c.Poll < 0:
		return fmt.Errorf("relay: Config.Poll is %v: use one above 0, or 0 for the default", c.Poll)
	}
	names := make(map[string]bool, len(c.Targets))
	for i := range c.Targets {
		t := &c.Targets[i]
		if err := t.check(); err != nil {
			return fmt.Errorf("relay: target %d, %q: %w", i+1, t.Name, err)
		}
		if t.Changes != nil && !s.d.hasChanges() {
			return fmt.Errorf("relay: target %d, %q: it has Changes, and row changes are delivered on PostgreSQL only", i+1, t.Name)
		}
		if names[t.Name] {
			return fmt.Errorf("relay: target %d is a second %q: give it another name", i+1, t.Name)
		}
		names[t.Name] = true
	}
	return nil
}

func (t *Target) check() error {
	switch {
	case t.Name == "":
		return errors.New("its Name is empty")
	case t.Deliver == nil:
		return errors.New("its Deliver is nil")
	case t.Timeout < 0:
		return fmt.Errorf("its Timeout is %v: use one above 0, or 0 for the default", t.Timeout)
	case t.Grace < 0:
		return fmt.Errorf("its Grace is %v: use 0 or more", t.Grace)
	case t.Timeout > maxDuration:
		return fmt.Errorf("its Timeout is %v: use at most %v", t.Timeout, maxDuration)
	case t.Grace > maxDuration:
		return fmt.Errorf("its Grace is %v: use at most %v", t.Grace, maxDuration)
	case t.Changes != nil && (t.Grace > 0 || t.SameDatabase):
		return errors.New("it has Changes, and also a Grace, or SameDatabase: leave one of them out")
	case t.RecordGaps != nil && t.Changes == nil:
		return errors.New("it has RecordGaps, and no Changes: leave RecordGaps out")
	case t.MaxAttempts < 1:
		return fmt.Errorf("its MaxAttempts is %d: use 1 or more; with 1, what is refused once is discarded", t.MaxAttempts)
	}
	return nil
}

const longestEnvironment = 200 // bytes

func checkEnvironment(name string) error {
	odd := func(c rune) bool { return !unicode.IsGraphic(c) }
	if len(name) > longestEnvironment || !utf8.ValidString(name) || strings.ContainsFunc(name, odd) {
		return fmt.Errorf("relay: the environment %.*q: use at most %d bytes of printable characters", longestEnvironment, name, longestEnvironment)
	}
	return nil
}
