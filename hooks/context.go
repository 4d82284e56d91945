package hooks

import "context"

// Values are what a context says about the events of the statements that run
// with it. Empty fields say nothing.
type Values struct {
	Actor         Actor
	TenantID      string
	RequestID     string
	CorrelationID string
	CausationID   string
	JobID         string
	TraceParent   string
	IPAddress     string
	UserAgent     string
	Reason        string
}

type valuesKey struct{}

// With returns a context with v; fields that v leaves empty keep what ctx
// already says. So does an actor that is not known, see [Actor.IsKnown], where ctx
// has one that is.
func With(ctx context.Context, v Values) context.Context {
	return context.WithValue(ctx, valuesKey{}, v.or(FromContext(ctx)))
}

// WithActor is With for the actor alone.
func WithActor(ctx context.Context, a Actor) context.Context {
	return With(ctx, Values{Actor: a})
}

// FromContext returns what ctx says; the zero value where it says nothing.
func FromContext(ctx context.Context) Values {
	v, _ := ctx.Value(valuesKey{}).(Values)
	return v
}

// or returns v with its empty fields from w. An actor comes as a whole; one that
// does not say who it is hides no other.
func (v Values) or(w Values) Values {
	if v.Actor.IsZero() || !v.Actor.IsKnown() && w.Actor.IsKnown() {
		v.Actor = w.Actor
	}
	fill(&v.TenantID, w.TenantID)
	fill(&v.RequestID, w.RequestID)
	fill(&v.CorrelationID, w.CorrelationID)
	fill(&v.CausationID, w.CausationID)
	fill(&v.JobID, w.JobID)
	fill(&v.TraceParent, w.TraceParent)
	fill(&v.IPAddress, w.IPAddress)
	fill(&v.UserAgent, w.UserAgent)
	fill(&v.Reason, w.Reason)
	return v
}

// Fill completes e with what v says about fields that e leaves empty. The
// driver calls it for every event with what [Origin] returns.
func (v Values) Fill(e *Event) {
	if e.Actor.IsZero() {
		e.Actor = v.Actor
	}
	fill(&e.TenantID, v.TenantID)
	fill(&e.RequestID, v.RequestID)
	fill(&e.CorrelationID, v.CorrelationID)
	fill(&e.CausationID, v.CausationID)
	fill(&e.JobID, v.JobID)
	fill(&e.TraceParent, v.TraceParent)
	fill(&e.IPAddress, v.IPAddress)
	fill(&e.UserAgent, v.UserAgent)
	fill(&e.Reason, v.Reason)
}

func fill(dst *string, src string) {
	if *dst == "" {
		*dst = src
	}
}
