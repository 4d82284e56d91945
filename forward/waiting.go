package forward

import (
	"errors"
	"net"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// waits returns why events that wait for a sink are not delivered now, nil if
// they are.
func (d *handler) waits(s *sink) error {
	if d.isQueues(s) {
		return nil // they are where they belong
	}
	if d.relaysHere() && d.hub.isClosed() {
		return errClosed
	}
	if !d.started.Load() {
		return d.starter.waitsFor()
	}
	if !d.relaysHere() {
		return nil
	}
	if r := d.running(); r != nil {
		return r.Trouble(s.name())
	}
	return errClosed
}

// waitReason returns the [hooks.Notice.Reason] for why.
func waitReason(why error) string {
	var (
		place  *relay.PlaceError
		attach *attachError
		setup  *journal.SetupError
		absent *unregisteredError
		server net.Error
	)
	switch state := hooks.SQLState(why); {
	case errors.Is(why, errStandby):
		return "standby"
	case errors.Is(why, errReadOnly):
		return "read_only"
	case errors.Is(why, errClosed):
		return "closed"
	case errors.As(why, &place):
		return "place"
	case errors.As(why, &attach):
		return "attach"
	case errors.As(why, &setup), errors.As(why, &absent), state == insufficientPrivilege, state == undefinedFunction, state == undefinedTable:
		return "setup"
	case state == tooManyConnections, state == cannotConnectNow, errors.Is(why, errNoConnection), errors.As(why, &server):
		return "no_connection"
	}
	return "error"
}
