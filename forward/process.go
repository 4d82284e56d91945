package forward

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// Relay delivers from the journal in db to this Hub's forwarders until ctx ends:
// for a process that does nothing else, beside apps with [RelayElsewhere] or
// alone. Any number may run; each forwarder is one process's at a time. db is of
// the base driver, and its role needs SELECT on the journal's table and all
// rights on the others in its schema.
func (h *Hub) Relay(ctx context.Context, db *sql.DB, dialect hooks.Dialect) error {
	d := &handler{hub: h, db: hooks.Database{Driver: "relay", Dialect: dialect}, setup: make(chan struct{}, 1)}
	h.mu.Lock()
	h.opened = true
	registrations := h.registrations
	h.mu.Unlock()
	for _, r := range registrations {
		if r.dispatch == Sync || h.external == nil { // the others are the Queue's
			d.sinks = append(d.sinks, &sink{registration: r})
		}
	}
	var err error
	if d.journal, err = journal.New(dialect, h.journal); err != nil {
		return fmt.Errorf("forward: %w", err)
	}
	if d.queue.store, err = relay.New(dialect, &relay.Options{Journal: h.journal, Environment: h.environment}); err != nil {
		return fmt.Errorf("forward: %w", err)
	}
	for _, s := range d.sinks {
		s.sync = s.dispatch == Sync
	}
	if err := d.setUpRelay(ctx, db); err != nil {
		return err
	}
	d.runQueue(db)
	<-ctx.Done()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	return d.closeQueue(stop)
}

// setUpRelay makes the tables and attaches the forwarders, over one connection.
func (d *handler) setUpRelay(ctx context.Context, db *sql.DB) error {
	if err := d.journal.Connect(ctx, db); err != nil {
		return err
	}
	for _, s := range d.sinks {
		if err := d.queue.store.Register(ctx, db, s.name()); err != nil {
			return err
		}
	}
	return d.attach(ctx, db)
}
