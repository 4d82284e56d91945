package driver

import (
	"fmt"
	"time"

	"github.com/go-aftercommit/aftercommit/driver/internal/txn"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// attribute sets the actor: the one that the event itself names, else its origin's, else
// the default one. Without a default one, an actor that is not known stays in an event that
// the app has recorded, which is refused for it.
func (db *database) attribute(e *hooks.Event, origin hooks.Values) {
	origin.Fill(e)
	if e.Actor.IsKnown() {
		return
	}
	if def := db.reg.cfg.actor; def.IsKnown() || e.Captured {
		e.Actor = def
	}
}

// newEvent makes the event of a key, for statements to be counted in.
func (db *database) newEvent(key txn.Key, metadata map[string]any) hooks.Event {
	e := hooks.Event{
		ID:         hooks.NewID(),
		OccurredAt: time.Now().UTC().Truncate(time.Microsecond),
		Action:     key.Action, Outcome: hooks.Success, Target: key.Target, Metadata: metadata, Captured: true,
	}
	if key.Via != "" {
		e.Metadata = map[string]any{"via": key.Via}
	}
	if column := db.reg.cfg.keyColumn; metadata == nil && column != idColumn { // it is one of rows
		if e.Metadata == nil {
			e.Metadata = make(map[string]any)
		}
		e.Metadata["column"] = column
	}
	db.attribute(&e, key.Values)
	return e
}

// countUnattributed reports events that were written without an actor.
func (db *database) countUnattributed(events []hooks.Event) {
	n := 0
	for i := range events {
		if !events[i].Actor.IsKnown() {
			n++
		}
	}
	if n > 0 {
		db.handler.notify(hooks.Notice{Kind: hooks.NoticeUnattributed, Count: n})
	}
}

// unattributed returns the actions of events without an actor that is known. One of a transaction that
// may have only read is not among them.
func unattributed(events []hooks.Event) (actions []string) {
	for i := range events {
		if !events[i].Actor.IsKnown() && !isContext(events[i]) {
			actions = append(actions, events[i].Action)
		}
	}
	return actions
}

// refuseUnattributed returns an error for events without an actor, where one is required.
func (db *database) refuseUnattributed(mode hooks.Mode, events []hooks.Event) error {
	if !db.reg.cfg.requireActor || mode != hooks.Strict {
		return nil
	}
	actions := unattributed(events)
	if len(actions) == 0 {
		return nil
	}
	err := fmt.Errorf("driver: audit events have no actor, which driver.RequireActor asks for (%d, the first is %s): give the statement or BeginTx a context with hooks.WithActor (an actor without a known type, or without an ID, does not count), set driver.DefaultActor, or, in apps that pass no context, use reqctx.Options{Goroutine: true} or hooks.Do",
		len(actions), actions[0])
	db.handler.failed(events, "no_actor", err)
	return err
}
