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
	o := Begin(b, false)
	o.ID("id", e.ID)
	if err := o.exact("occurred_at", e.OccurredAt); err != nil {
		return o.b, err
	}
	o.Always("action", e.Action)
	o.Always("outcome", string(e.Outcome))
	o.actor(&e.Actor)
	o.target(&e.Target)
	o.Text("tenant_id", e.TenantID)
	o.Text("request_id", e.RequestID)
	o.Text("correlation_id", e.CorrelationID)
	o.Text("causation_id", e.CausationID)
	o.Text("job_id", e.JobID)
	o.Text("trace_parent", e.TraceParent)
	o.Text("ip_address", e.IPAddress)
	o.Text("user_agent", e.UserAgent)
	o.Text("reason", e.Reason)
	o.Text("comment", e.Comment)
	if err := o.Metadata("metadata", e.Metadata); err != nil {
		return o.b, err
	}
	o.Text("application", e.Application)
	o.Text("host", e.Host)
	o.True("captured", e.Captured)
	return o.End(), nil
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
		o := Begin(b, false)
		o.actor(&hooks.Actor{Name: e.Actor.Name})
		o.target(&hooks.Target{Name: e.Target.Name})
		o.Text("ip_address", e.IPAddress)
		o.Text("user_agent", e.UserAgent)
		o.Text("comment", e.Comment)
		return o.End(), nil
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

func (o *Object) actor(a *hooks.Actor) {
	if a.IsZero() {
		return
	}
	o.open("actor")
	o.Text("type", string(a.Type))
	o.Text("id", a.ID)
	o.Text("name", a.Name)
	o.Text("on_behalf_of", a.OnBehalfOf)
	o.close()
}

func (o *Object) target(t *hooks.Target) {
	if t.IsZero() {
		return
	}
	o.open("target")
	o.Text("type", t.Type)
	o.Text("id", t.ID)
	o.Text("name", t.Name)
	o.close()
}
