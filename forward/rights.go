package forward

import (
	"context"
	"database/sql"
	"fmt"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// SQLSTATEs.
const (
	undefinedFunction  = "42883"
	undefinedTable     = "42P01"
	readOnly           = "25006" // of a transaction, as all are on a standby
	lockNotAvailable   = "55P03"
	tooManyConnections = "53300"
	cannotConnectNow   = "57P03"
	tooManyForwarders  = "54000"
	concurrentUpdate   = "40001"
)

// withoutRights goes on for a role that may write to the journal but not use the relay's
// tables. With RelayElsewhere, a function of the journal registers the forwarders for the
// relay; else they are called within Commit. It returns what registerSinks does.
func (d *handler) withoutRights(ctx context.Context, conn *sql.DB, cause error) (later, err error) {
	if d.hub.relayMode != RelayElsewhere {
		return nil, d.withoutQueue(cause)
	}
	later, err = d.announceSinks(ctx, conn)
	switch hooks.SQLState(err) {
	case readOnly:
		return errReadOnly, nil
	case insufficientPrivilege, undefinedFunction:
		return nil, fmt.Errorf("forward: this role may not register forwarders for the relay that runs elsewhere: %w", err)
	}
	return later, err
}

// unregisteredError is why a forwarder is not registered yet for the relay elsewhere. Other
// roles can bring it about, so it must not keep the app from its connection.
type unregisteredError struct{ err error }

func (e *unregisteredError) Error() string {
	return "forward: a forwarder is not registered yet for the relay that runs elsewhere, which gets for it what is committed after that: " + e.err.Error()
}

func (e *unregisteredError) Unwrap() error { return e.err }

// announceSinks registers all sinks that can be now, and returns as later why others
// cannot: too many are registered, or another transaction keeps the registration locked.
func (d *handler) announceSinks(ctx context.Context, conn *sql.DB) (later, err error) {
	for _, s := range d.sinks {
		// A journal of an earlier version cannot be asked; what is new is not known then.
		known, unknown := d.queue.store.HandOver(ctx, conn, s.name(), nil)
		err := d.queue.store.Announce(ctx, conn, s.name())
		isNew := err == nil && unknown == nil && !known
		if isNew {
			taken, e := d.queue.store.TakesOver(ctx, conn, s.name())
			s.takenOver.Store(taken)
			isNew = e == nil // the relay, which may look, says it
		}
		s.isNew.Store(isNew) // last: who sees it says how
		switch hooks.SQLState(err) {
		case tooManyForwarders, lockNotAvailable, concurrentUpdate:
			later = &unregisteredError{err}
		default:
			if err != nil {
				return nil, err
			}
		}
	}
	d.sayNew()
	return later, nil
}

// withoutQueue calls the forwarders within Commit. They get no cursor: without a
// relay it would never move, and would keep every entry from being purged.
func (d *handler) withoutQueue(cause error) error {
	for _, s := range d.sinks {
		if s.dispatch == Async || s.changes != nil {
			return fmt.Errorf("forward: %s is registered with Async or WithChanges, and this role may not use the relay's tables: "+
				"run Hub.Relay as another role and set Options.Relay to RelayElsewhere, or grant SELECT on journal and all on cursors, retries, acknowledged, workers and journal_purges: %w",
				s.name(), cause)
		}
		s.inCommit.Store(true)
	}
	d.queue.denied.Store(true)
	d.log().Warn("aftercommit: forwarders are called within Commit, and what they refuse is not tried again, because this role may not use the relay's tables: "+
		"run Hub.Relay as their owner, and set Options.Relay to RelayElsewhere here",
		zap.String("driver", d.db.Driver), zap.Error(cause))
	d.forsake()
	return nil
}

// forsake reports as discarded what was committed for a relay that will never start.
func (d *handler) forsake() {
	n := d.starter.takeOwed()
	if n == 0 {
		return
	}
	for _, s := range d.active() {
		if s.dispatch != Sync {
			d.Notify(hooks.Notice{Kind: hooks.NoticeDiscarded, Count: n, Forwarder: s.name(), Dispatch: Async.String(), Reason: reasonNoRelay})
		}
	}
}

// retries reports whether what a sync forwarder refuses is delivered again, or else why
// not.
func (d *handler) retries() (why string, ok bool) {
	switch {
	case d.relayStore() != nil:
		return "", true
	case d.journal == nil:
		return reasonNoJournal, false
	}
	return reasonNoRelay, false
}

// giveUp reports as discarded those entries of a failed call that will not be delivered again.
func (d *handler) giveUp(failed hooks.Notice, entries []journal.Entry) {
	switch why, ok := d.retries(); {
	case !ok:
		failed.Reason = why
	case !failed.Permanent || !d.noteRefused(failed, entries):
		return
	}
	failed.Kind = hooks.NoticeDiscarded
	d.Notify(failed)
}
