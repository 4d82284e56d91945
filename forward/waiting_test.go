package forward

import (
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
)

// TestWaitReason: observers are given a word for each, whatever it is wrapped in.
func TestWaitReason(t *testing.T) {
	for why, want := range map[error]string{
		errStandby:                      "standby",
		errReadOnly:                     "read_only",
		errClosed:                       "closed",
		&relay.PlaceError{}:             "place",
		&attachError{"a", errNowhere}:   "attach",
		&journal.SetupError{}:           "setup",
		sqlState(insufficientPrivilege): "setup",
		sqlState(undefinedFunction):     "setup",
		sqlState(undefinedTable):        "setup",
		sqlState(tooManyConnections):    "no_connection",
		sqlState(cannotConnectNow):      "no_connection",
		errNoConnection:                 "no_connection",
		&net.OpError{Err: errNowhere}:   "no_connection",
		sqlState("40001"):               "error",
		errors.New("anything else"):     "error",
	} {
		for _, err := range []error{why, fmt.Errorf("start: %w", why)} {
			if got := waitReason(err); got != want {
				t.Errorf("%v: %q, want %q", err, got, want)
			}
		}
	}
}
