package forward

import (
	"errors"
	"fmt"
	"reflect"
	"time"
)

// longest is the most that a timeout or Grace may be. PostgreSQL's timeouts are less than 25 days.
const longest = 24 * time.Hour

// check returns what is wrong with the options, whatever the database is.
func (o *Options) check() error {
	v := reflect.ValueOf(o.Queue)
	switch {
	case o.Grace > longest:
		return fmt.Errorf("forward: Options.Grace is %v: use at most %v", o.Grace, longest)
	case o.Timeout > longest:
		return fmt.Errorf("forward: Options.Timeout is %v: use at most %v", o.Timeout, longest)
	case o.Grace < 0:
		return fmt.Errorf("forward: Options.Grace is %v: use one above 0, or 0 for the default of %v", o.Grace, defaultGrace)
	case o.Timeout < 0:
		return fmt.Errorf("forward: Options.Timeout is %v: use one above 0, or 0 for the default of %v", o.Timeout, defaultTimeout)
	case o.Relay > RelayOff:
		return fmt.Errorf("forward: Options.Relay is %d: use RelayInProcess, RelayElsewhere or RelayOff", o.Relay)
	case o.Queue != nil && v.Kind() == reflect.Pointer && v.IsNil():
		return fmt.Errorf("forward: Options.Queue is a nil %T: pass what its New returns, or leave Queue out", o.Queue)
	case o.NoJournal && o.Queue != nil:
		return errors.New("forward: Options.Queue and NoJournal are both set, but a Queue's jobs are read from the journal: " +
			"leave NoJournal out, or leave Queue out and register with Sync or Auto, which then forwards from memory, at most once")
	case o.NoJournal && o.Relay == RelayElsewhere:
		return errors.New("forward: Options.Relay is RelayElsewhere and NoJournal is set, but a relay reads the journal: " +
			"leave NoJournal out, or leave Relay out and register with Sync or Auto, which then forwards from memory, at most once")
	}
	return nil
}

// journaled returns what is wrong with a Hub that is to deliver from a journal.
func (h *Hub) journaled() error {
	if h.noJournal {
		return errors.New("forward: Hub.Relay and Hub.Work read the journal, and Options.NoJournal is set: leave it out in this process, and in the apps that it delivers for")
	}
	return h.wrong
}
