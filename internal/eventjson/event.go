package eventjson

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Append appends an event. It fails if the metadata has a value that is no JSON, or
// OccurredAt is outside the years 0 to 9999; hooks.Prepare refuses both.
func Append(b []byte, e *hooks.Event) ([]byte, error) {
	o := object{b: append(b, '{')}
	o.id("id", e.ID)
	if err := o.time("occurred_at", e.OccurredAt); err != nil {
		return o.b, err
	}
	o.always("action", e.Action)
	o.always("outcome", string(e.Outcome))
	o.actor(&e.Actor)
	o.target(&e.Target)
	o.text("tenant_id", e.TenantID)
	o.text("request_id", e.RequestID)
	o.text("correlation_id", e.CorrelationID)
	o.text("causation_id", e.CausationID)
	o.text("job_id", e.JobID)
	o.text("trace_parent", e.TraceParent)
	o.text("ip_address", e.IPAddress)
	o.text("user_agent", e.UserAgent)
	o.text("reason", e.Reason)
	o.text("comment", e.Comment)
	if len(e.Metadata) > 0 {
		o.name("metadata")
		if err := o.members(e.Metadata, 1); err != nil {
			return o.b, err
		}
	}
	o.text("application", e.Application)
	o.text("host", e.Host)
	if e.Captured {
		o.name("captured")
		o.b = append(o.b, "true"...)
	}
	return append(o.b, '}'), nil
}

// Source is which program wrote events, and on which host.
type Source struct{ Application, Host string }

// AppendArray appends an array of events without what is personal in them, see
// [AppendPersonal]. Its error names the event.
func AppendArray(b []byte, events []hooks.Event) ([]byte, error) {
	return Source{}.AppendArray(b, events)
}

// AppendArray appends events as the function of this name does. Those that do not say what
// their source is say that it is s. The events themselves stay as they are.
func (s Source) AppendArray(b []byte, events []hooks.Event) ([]byte, error) {
	return array(b, events, func(b []byte, e *hooks.Event) ([]byte, error) {
		plain := *e
		plain.Application = cmp.Or(e.Application, s.Application)
		plain.Host = cmp.Or(e.Host, s.Host)
		plain.Actor.Name, plain.Target.Name = "", ""
		plain.IPAddress, plain.UserAgent, plain.Comment = "", "", ""
		return Append(b, &plain)
	})
}

// AppendPersonal appends an array of what is personal in events: of each event an object with
// the fields actor.name, target.name, ip_address, user_agent and comment, as far as they are
// set, and null where none is. If no event has any it appends nothing.
func AppendPersonal(b []byte, events []hooks.Event) []byte {
	if !slices.ContainsFunc(events, isPersonal) {
		return b
	}
	b, _ = array(b, events, func(b []byte, e *hooks.Event) ([]byte, error) {
		if !isPersonal(*e) {
			return append(b, "null"...), nil
		}
		o := object{b: append(b, '{')}
		o.actor(&hooks.Actor{Name: e.Actor.Name})
		o.target(&hooks.Target{Name: e.Target.Name})
		o.text("ip_address", e.IPAddress)
		o.text("user_agent", e.UserAgent)
		o.text("comment", e.Comment)
		return append(o.b, '}'), nil
	})
	return b
}

// isPersonal reports whether an event has a field that AppendArray leaves out.
func isPersonal(e hooks.Event) bool {
	return e.Actor.Name != "" || e.Target.Name != "" || e.IPAddress != "" || e.UserAgent != "" || e.Comment != ""
}

func array(b []byte, events []hooks.Event, one func([]byte, *hooks.Event) ([]byte, error)) (_ []byte, err error) {
	b = append(b, '[')
	for i := range events {
		e := &events[i]
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = one(b, e); err != nil {
			return b, fmt.Errorf("event %s (%s): %w", e.ID, e.Action, err)
		}
	}
	return append(b, ']'), nil
}

func (o *object) actor(a *hooks.Actor) {
	if a.IsZero() {
		return
	}
	o.open("actor")
	o.text("type", string(a.Type))
	o.text("id", a.ID)
	o.text("name", a.Name)
	o.text("on_behalf_of", a.OnBehalfOf)
	o.close()
}

func (o *object) target(t *hooks.Target) {
	if t.IsZero() {
		return
	}
	o.open("target")
	o.text("type", t.Type)
	o.text("id", t.ID)
	o.text("name", t.Name)
	o.close()
}
