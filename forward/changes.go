package forward

import (
	"fmt"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// mayHaveChanges returns why a forwarder cannot get the row changes that it is registered for.
func (d *handler) mayHaveChanges(s *sink) error {
	why := ""
	switch {
	case s.changes == nil:
		return nil
	case d.db.Dialect != hooks.Postgres:
		why = "they are delivered on PostgreSQL only: leave WithChanges out here; on SQLite read them with changes.Store"
	case d.hub.external != nil:
		why = "the relay delivers them, and Options.Queue delivers to this forwarder: leave one of the two out"
	case !d.asked && !d.hasQueue():
		none, _, _ := strings.Cut(d.whyNoQueue(), ";") // and what to do for Async alone
		why = "the relay delivers them, and there is none: " + none
	default:
		return nil
	}
	return fmt.Errorf("forward: %s is registered WithChanges, and driver %s has no row changes for it: %s", s.name(), d.db.Driver, why)
}
