package forward

import (
	"context"
	"sync/atomic"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// Status is what a Hub has seen since it was made. The numbers are events,
// unless they say otherwise.
type Status struct {
	Logged       int64 // written to the journal, and committed
	Delivered    int64 // accepted, counted for each forwarder
	Failed       int64 // refused, counted for each forwarder and attempt; not failed writes
	Discarded    int64 // given up
	RolledBack   int64
	Lost         int64 // could not be written
	Uncaptured   int64 // statements that capture could not see into
	Unattributed int64 // written without an actor, captured or recorded
	// Pending is how many transactions wait; see [Hub.Pending].
	Pending        int
	ObserverPanics int64
	// Databases are those that are open and have a relay, or wait for one.
	Databases []DatabaseStatus
}

// DatabaseStatus is how the delivery from a database stands.
type DatabaseStatus struct {
	// Driver is the registered name.
	Driver string
	Mode   hooks.Mode
	// Journal is how many entries the journal has, at most: the distance from
	// the oldest to the newest.
	Journal    int64
	Forwarders []relay.State
	// Waiting is why the relay of this process has not started yet, nil once it
	// has. It is tried again.
	Waiting error
	// Err says why it could not be asked; the numbers are zero then.
	Err error
}

// counts has an entry for each notice that Status counts.
type counts struct {
	logged, delivered, failed, discarded, rolledBack,
	lost, uncaptured, unattributed, panics atomic.Int64
}

// Status returns the numbers of now. It asks the databases, over the relay's own
// connections.
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
		st := DatabaseStatus{Driver: d.db.Driver, Waiting: d.starter.waitsFor()}
		switch {
		case d.running() != nil:
			d.ask(ctx, &st)
		case st.Waiting == nil:
			continue
		}
		if d.db.Mode != nil {
			st.Mode = d.db.Mode()
		}
		all = append(all, st)
	}
	return all
}

// ask asks the database how its forwarders stand.
func (d *handler) ask(ctx context.Context, st *DatabaseStatus) {
	db, err := d.sideDB()
	if err == nil {
		st.Forwarders, err = d.queue.store.States(ctx, db)
	}
	if err == nil {
		st.Journal, err = d.queue.store.Span(ctx, db)
	}
	st.Err = err
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
