package eventjson

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// validate notes the first thing that package hooks would have refused, except secrets in
// metadata: a role that may write to the journal need not use it. Captured events have
// whatever actor the context had.
func (d *Decoded) validate() {
	e := &d.Event
	switch {
	case d.Unreadable != "":
	case e.ID == uuid.Nil:
		d.note("id", "is missing")
	case e.OccurredAt.Year() < 1 || e.OccurredAt.Year() > 9999 || e.OccurredAt.IsZero():
		d.note("occurred_at", "is missing")
	case len(e.Action) > hooks.MaxAction || !isAction(e.Action):
		d.note("action", excerpt(e.Action)+" does not have the form noun.verb")
	case e.Outcome != hooks.Success && e.Outcome != hooks.Failure && e.Outcome != hooks.Errored:
		d.note("outcome", excerpt(string(e.Outcome))+" is not success, failure or error")
	case !e.Captured && !e.Actor.IsZero() && !e.Actor.IsKnown():
		d.note("actor", "is of no type that package hooks has, or has no id")
	default:
		d.validateLengths()
	}
}

func (d *Decoded) validateLengths() {
	e := &d.Event
	for _, f := range [...]struct {
		name, value string
		limit       int
	}{
		{"actor.type", string(e.Actor.Type), hooks.MaxText},
		{"actor.id", e.Actor.ID, hooks.MaxText},
		{"actor.name", e.Actor.Name, hooks.MaxText},
		{"actor.on_behalf_of", e.Actor.OnBehalfOf, hooks.MaxText},
		{"target.type", e.Target.Type, hooks.MaxText},
		{"target.id", e.Target.ID, hooks.MaxText},
		{"target.name", e.Target.Name, hooks.MaxText},
		{"tenant_id", e.TenantID, hooks.MaxText},
		{"request_id", e.RequestID, hooks.MaxText},
		{"correlation_id", e.CorrelationID, hooks.MaxText},
		{"causation_id", e.CausationID, hooks.MaxText},
		{"job_id", e.JobID, hooks.MaxText},
		{"trace_parent", e.TraceParent, hooks.MaxText},
		{"ip_address", e.IPAddress, hooks.MaxText},
		{"user_agent", e.UserAgent, hooks.MaxUserAgent},
		{"reason", e.Reason, hooks.MaxText},
		{"comment", e.Comment, hooks.MaxMetadata},
		{"application", e.Application, hooks.MaxText},
		{"host", e.Host, hooks.MaxText},
	} {
		if len(f.value) > f.limit {
			d.note(f.name, fmt.Sprintf("has %d bytes, the limit is %d", len(f.value), f.limit))
		}
	}
}

// isAction reports whether s has the form of [hooks.Event.Action].
func isAction(s string) bool {
	start, dots := true, 0
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', !start && (c >= '0' && c <= '9' || c == '_'):
			start = false
		case c == '.' && !start:
			start = true
			dots++
		default:
			return false
		}
	}
	return dots > 0 && !start
}
