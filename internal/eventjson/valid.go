package eventjson

import (
	"errors"
	"fmt"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// validate notes the first thing that package hooks would have refused, except secrets in
// metadata: a role that may write to the journal need not use it. Captured events have
// whatever actor the context had.
func (d *Decoded) validate() {
	e := d.Event
	switch {
	case d.Unreadable != "":
		return
	case e.OccurredAt.IsZero():
		d.note("occurred_at", "is missing")
		return
	case len(e.Actor.Type) > hooks.MaxText:
		d.note("actor.type", fmt.Sprintf("has %d bytes, the limit is %d", len(e.Actor.Type), hooks.MaxText))
		return
	}
	e.Metadata = nil // its form was looked at where it was read
	if e.Captured && !e.Actor.IsZero() {
		e.Actor.Type = hooks.System // which is known, and needs no ID
	}
	if err := hooks.Validate(e); err != nil {
		invalid := new(hooks.InvalidError)
		errors.As(err, &invalid)
		d.note(invalid.Field, invalid.Reason)
	}
}
