package eventjson

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Decoded is an event as [Decode] has read it.
type Decoded struct {
	Event hooks.Event
	// Unreadable says what of it cannot be read, and is empty if all can.
	Unreadable string
	notes      int // in Unreadable
}

// Decode reads what [AppendArray] and [AppendPersonal] have written. Others may have written
// it, or changed it since: what cannot be read of an event is in its Unreadable, as is what
// package hooks would have refused, and its neighbours are read all the same. Members that are
// not known are skipped. If a document is no array of count members, the result is count events,
// at least one, that have nothing but Unreadable.
func Decode(doc, personal []byte, count int) []Decoded {
	out := decode(reader{doc: doc}, personal, count)
	for i := range out {
		out[i].validate()
	}
	return out
}

// DecodeAny is Decode without regard to what package hooks would have refused.
func DecodeAny(doc, personal []byte, count int) []Decoded {
	return decode(reader{doc: doc, lax: true}, personal, count)
}

func decode(r reader, personal []byte, count int) []Decoded {
	if !isJSON(r.doc) || !r.begins('[') {
		return Unreadable(count, "document: is no JSON array")
	}
	out := make([]Decoded, 0, min(max(count, 1), mostUnreadable))
	for r.next(']') {
		if len(out) == count {
			return Unreadable(count, fmt.Sprintf("document: has more events than the %d that its row says", count))
		}
		out = append(out, r.event())
	}
	if len(out) < count || count < 1 {
		return Unreadable(count, fmt.Sprintf("document: has %d events, its row says %d", len(out), count))
	}
	addPersonal(out, personal)
	return out
}

// mostUnreadable is how many events Unreadable returns at most: a row that says more was not
// written by the journal's functions.
const mostUnreadable = hooks.MaxFlush

// Unreadable returns what Decode does for documents of which nothing can be read, because of
// why.
func Unreadable(count int, why string) []Decoded {
	out := make([]Decoded, min(max(count, 1), mostUnreadable))
	for i := range out {
		out[i].Unreadable = why
	}
	return out
}

func addPersonal(out []Decoded, personal []byte) {
	if len(personal) == 0 {
		return
	}
	note := func(why string) {
		for i := range out {
			out[i].note("personal", why)
		}
	}
	r := reader{doc: personal}
	if !isJSON(personal) || !r.begins('[') {
		note("is no JSON array")
		return
	}
	n := 0
	for ; r.next(']'); n++ {
		if n < len(out) {
			r.personalObject(&out[n])
		} else {
			r.skip()
		}
	}
	if n != len(out) {
		note(fmt.Sprintf("has %d members for %d events", n, len(out)))
	}
}

// maxNotes is how many notes an event has at most, so that what is said of a document does not
// grow with it.
const maxNotes = 8

func (d *Decoded) note(field, why string) {
	switch d.notes++; {
	case d.notes == 1:
		d.Unreadable = field + ": " + why
	case d.notes <= maxNotes:
		d.Unreadable += "; " + field + ": " + why
	case d.notes == maxNotes+1:
		d.Unreadable += "; and more"
	}
}

func (r *reader) event() (d Decoded) {
	r.object(&d, "", func(name string) bool {
		e := &d.Event
		switch name {
		case "id":
			r.id(&d, &e.ID)
		case "occurred_at":
			r.time(&d, &e.OccurredAt)
		case "actor":
			r.object(&d, "actor.", func(name string) bool { return r.actor(&d, name) })
		case "target":
			r.object(&d, "target.", func(name string) bool { return r.target(&d, name) })
		case "metadata":
			r.metadata(&d)
		case "captured":
			r.truth(&d, &e.Captured)
		default:
			return r.textMember(&d, name)
		}
		return true
	})
	return d
}

// textMember reads a member of the event that is a text, unless it is inside another object.
func (r *reader) textMember(d *Decoded, name string) bool {
	e := &d.Event
	var to *string
	switch name {
	case "action":
		to = &e.Action
	case "outcome":
		to = (*string)(&e.Outcome)
	case "tenant_id":
		to = &e.TenantID
	case "request_id":
		to = &e.RequestID
	case "correlation_id":
		to = &e.CorrelationID
	case "causation_id":
		to = &e.CausationID
	case "job_id":
		to = &e.JobID
	case "trace_parent":
		to = &e.TraceParent
	case "reason":
		to = &e.Reason
	case "application":
		to = &e.Application
	case "host":
		to = &e.Host
	default:
		return r.personalMember(d, name)
	}
	r.text(d, name, to)
	return true
}

// personalMember reads a member that is personal; the event itself has it in no document of
// [AppendArray], but in one of [Append].
func (r *reader) personalMember(d *Decoded, name string) bool {
	e := &d.Event
	var to *string
	switch name {
	case "ip_address":
		to = &e.IPAddress
	case "user_agent":
		to = &e.UserAgent
	case "comment":
		to = &e.Comment
	default:
		return false
	}
	r.text(d, name, to)
	return true
}

func (r *reader) actor(d *Decoded, name string) bool {
	a := &d.Event.Actor
	switch name {
	case "type":
		r.text(d, "actor.type", (*string)(&a.Type))
	case "id":
		r.text(d, "actor.id", &a.ID)
	case "name":
		r.text(d, "actor.name", &a.Name)
	case "on_behalf_of":
		r.text(d, "actor.on_behalf_of", &a.OnBehalfOf)
	default:
		return false
	}
	return true
}

func (r *reader) target(d *Decoded, name string) bool {
	t := &d.Event.Target
	switch name {
	case "type":
		r.text(d, "target.type", &t.Type)
	case "id":
		r.text(d, "target.id", &t.ID)
	case "name":
		r.text(d, "target.name", &t.Name)
	default:
		return false
	}
	return true
}

// personalObject reads a member of what AppendPersonal has written: nothing but what is personal.
func (r *reader) personalObject(d *Decoded) {
	if r.isNull() {
		return
	}
	r.object(d, "", func(name string) bool {
		switch name {
		case "actor":
			r.object(d, "actor.", func(name string) bool { return name == "name" && r.actor(d, name) })
		case "target":
			r.object(d, "target.", func(name string) bool { return name == "name" && r.target(d, name) })
		default:
			return r.personalMember(d, name)
		}
		return true
	})
}

func (r *reader) id(d *Decoded, to *uuid.UUID) {
	var text string
	if !r.text(d, "id", &text) {
		return
	}
	id, err := uuid.Parse(text)
	if err != nil {
		d.note("id", excerpt(text)+" is no UUID")
	}
	*to = id
}

func (r *reader) time(d *Decoded, to *time.Time) {
	var text string
	if !r.text(d, "occurred_at", &text) {
		return
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		d.note("occurred_at", excerpt(text)+" is no time in the years 1 to 9999")
		return
	}
	*to = t.UTC().Truncate(time.Microsecond)
}

func (r *reader) truth(d *Decoded, to *bool) {
	raw := r.skip()
	switch string(raw) {
	case "true":
		*to = true
	case "false", "null":
	default:
		d.note("captured", excerpt(string(raw))+" is neither true nor false")
	}
}
