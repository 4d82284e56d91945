package forward

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// Status is what a Hub has seen since it was made. The numbers are events,
// unless they say otherwise. In JSON names are as in the tags, here and in what it has.
type Status struct {
	Logged       int64 `json:"logged"`    // written to the journal, and committed
	Delivered    int64 `json:"delivered"` // accepted, counted for each forwarder
	Failed       int64 `json:"failed"`    // refused, counted for each forwarder and attempt; not failed writes
	Discarded    int64 `json:"discarded"` // given up
	RolledBack   int64 `json:"rolled_back"`
	Lost         int64 `json:"lost"`         // could not be written
	Uncaptured   int64 `json:"uncaptured"`   // statements that capture could not see into
	Unattributed int64 `json:"unattributed"` // written without an actor, captured or recorded
	// Pending is how many transactions wait; see [Hub.Pending].
	Pending        int   `json:"pending"`
	ObserverPanics int64 `json:"observer_panics"`
	// Databases are those that are open, once they have had a connection, and those that
	// Hub.Relay or Hub.Work delivers from.
	Databases []DatabaseStatus `json:"databases"`
}

// DatabaseStatus is how the delivery from a database stands. In JSON the mode and the
// errors are text.
type DatabaseStatus struct {
	// Driver is the registered name, "relay" for Hub.Relay, "worker" for Hub.Work.
	Driver string     `json:"driver"`
	Mode   hooks.Mode `json:"mode"`
	// Journal is how many entries the journal has, estimated if it has many rows; see
	// relay.Store.Size.
	Journal int64 `json:"journal"`
	// Forwarders are those that the relay knows.
	Forwarders []relay.State `json:"forwarders"`
	// Jobs are, where this process works jobs of Options.Queue, first its own forwarders
	// and then all others with jobs, which no process may work: Behind, Oldest, Retrying
	// and Discarded say how all jobs for them stand, and Elsewhere that some wait because
	// they were enqueued in another database or environment.
	Jobs []relay.State `json:"jobs,omitempty"`
	// JobsErr says why Jobs could not be asked.
	JobsErr error `json:"jobs_error,omitempty"`
	// Waiting is why the delivery of this process has not started yet, or why the Queue's
	// workers could not be restarted, which is needed once a forwarder that was left out
	// is attached. It is nil once they have, and is tried again.
	Waiting error `json:"waiting,omitempty"`
	// Err says why it could not be asked; the numbers of Journal and Forwarders are zero
	// then. It is an [ErrNotAsked] where no relay runs in this process.
	Err error `json:"error,omitempty"`
}

// MarshalJSON implements [json.Marshaler].
func (s DatabaseStatus) MarshalJSON() ([]byte, error) {
	type plain DatabaseStatus // without this method
	return json.Marshal(struct {
		plain
		Mode    string `json:"mode"`
		JobsErr string `json:"jobs_error,omitempty"`
		Waiting string `json:"waiting,omitempty"`
		Err     string `json:"error,omitempty"`
	}{plain(s), s.Mode.String(), text(s.JobsErr), text(s.Waiting), text(s.Err)})
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// ErrNotAsked is the kind of [DatabaseStatus.Err] for a database that Status does not
// ask. How delivery stands is known where the relay runs: on PostgreSQL in the app or,
// with [RelayElsewhere], in the process of [Hub.Relay]; on SQLite in such a process only,
// because a second connection would disturb the app's. Anywhere else
// relay.Store.States answers, over a connection whose role may read the relay's tables.
var ErrNotAsked = errors.New("forward: how delivery stands is not asked here")

// counts has an entry for each notice that Status counts.
type counts struct {
	logged, delivered, failed, discarded, rolledBack,
	lost, uncaptured, unattributed, panics atomic.Int64
}

// Status returns the numbers of now. It asks the databases from which this process
// relays, or works the Queue's jobs, over the connections of the relay or the workers.
func (h *Hub) Status(ctx context.Context) Status {
	c := &h.counts
	return Status{
		Logged: c.logged.Load(), Delivered: c.delivered.Load(), Failed: c.failed.Load(),
		Discarded: c.discarded.Load(), RolledBack: c.rolledBack.Load(), Lost: c.lost.Load(),
		Uncaptured: c.uncaptured.Load(), Unattributed: c.unattributed.Load(),
		Pending: h.Pending(), ObserverPanics: c.panics.Load(),
		Databases: h.databaseStatus(ctx),
	}
}

func (h *Hub) databaseStatus(ctx context.Context) (all []DatabaseStatus) {
	for _, d := range h.databases() {
		if d.starter.isClosed() {
			continue // it is known for its pending transactions only
		}
		st := DatabaseStatus{Driver: d.db.Driver, Waiting: cmp.Or(d.starter.waitsFor(), d.halted())}
		if d.db.Mode != nil {
			st.Mode = d.db.Mode()
		}
		if db := d.relayDB(); db != nil {
			d.ask(ctx, db, &st)
		} else {
			st.Err = fmt.Errorf("%w: %s", ErrNotAsked, d.whyNotAsked())
		}
		st.Jobs, st.JobsErr = d.jobStates(ctx)
		all = append(all, st)
	}
	return all
}

// jobStates asks the Queue's workers of this process, if there are any.
func (d *handler) jobStates(ctx context.Context) (states []relay.State, err error) {
	w := d.workers()
	if w == nil {
		return nil, nil
	}
	found, err := w.States(ctx)
	if err != nil {
		return nil, fmt.Errorf("forward: driver %s: how jobs stand: %w", d.db.Driver, err)
	}
	for _, s := range d.queue.given {
		st := relay.State{Forwarder: s.name()} // without jobs
		if i := slices.IndexFunc(found, func(f relay.State) bool { return f.Forwarder == st.Forwarder }); i >= 0 {
			st = found[i]
			found = slices.Delete(found, i, i+1)
		}
		states = append(states, st)
	}
	return append(states, found...), nil
}

// ask asks the database how its forwarders stand.
func (d *handler) ask(ctx context.Context, db *sql.DB, st *DatabaseStatus) {
	var err error
	if st.Forwarders, err = d.queue.store.States(ctx, db); err == nil {
		st.Journal, err = d.queue.store.Size(ctx, db)
	}
	st.Err = err
}

// whyNotAsked says why no relay runs in this process, and what to ask instead.
func (d *handler) whyNotAsked() string {
	const states = "call relay.Store.States "
	switch {
	case d.journal == nil:
		return "there is no journal"
	case d.starter.waitsFor() != nil:
		return "delivery waits, see Waiting"
	case len(d.sinks) == 0 && len(d.queue.given) > 0:
		return "Options.Queue delivers: see Jobs, in the process that works them; or ask the Queue's package (river.States)"
	case len(d.sinks) == 0:
		return "no forwarder is registered"
	case d.hub.relayMode == RelayElsewhere:
		return "the relay runs elsewhere: ask the Hub of the process with Hub.Relay"
	case d.dialect.local():
		return "a second connection would disturb the app's: " + states + "over the app's *sql.DB, or run Hub.Relay in a separate process"
	case d.hasQueue():
		return "the relay is being started"
	}
	return "no relay runs: run Hub.Relay in a separate process, or " + states + "as the owner of the tables"
}

func (c *counts) of(n hooks.Notice) *atomic.Int64 {
	switch n.Kind {
	case hooks.NoticeLogged:
		return &c.logged
	case hooks.NoticeDelivered:
		return &c.delivered
	case hooks.NoticeFailed:
		if n.Forwarder == "" {
			return nil // a flush; another notice says what became of its events
		}
		return &c.failed
	case hooks.NoticeDiscarded:
		return &c.discarded
	case hooks.NoticeRolledBack:
		return &c.rolledBack
	case hooks.NoticeLost:
		return &c.lost
	case hooks.NoticeUncaptured:
		return &c.uncaptured
	case hooks.NoticeUnattributed:
		return &c.unattributed
	}
	return nil
}
