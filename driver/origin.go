package driver

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/driver/internal/txn"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// origin is what is known about who runs a statement, and why. Each field is from
// ctx, else from the context of the transaction's BEGIN, else from that of
// BeginTx, whose Tx outlives a raw COMMIT. If none names an actor, the goroutine
// may; see [hooks.Origin].
func (c *conn) origin(ctx context.Context) hooks.Values {
	if c.tx.Open() {
		return hooks.Origin(ctx, c.tx.Context(), c.handle.ctx)
	}
	return hooks.Origin(ctx, c.handle.ctx)
}

// attribute says who: what the event itself names, else its origin, else the
// default actor. An actor that does not say who it is stays only where the event
// is still to be refused for it.
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
		OccurredAt: time.Now().UTC().Truncate(time.Microsecond),
		Action:     key.Action, Outcome: hooks.Success, Target: key.Target, Metadata: metadata, Captured: true,
	}
	if key.Via != "" {
		e.Metadata = map[string]any{"via": key.Via}
	}
	e.ID, _ = uuid.NewV7()
	db.attribute(&e, key.Values)
	return e
}
