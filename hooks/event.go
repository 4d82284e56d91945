package hooks

import (
	"time"

	"github.com/google/uuid"
)

// Event is one fact for the audit trail: who did what to what, and why.
//
// Only Action is required. [Record] fills ID, OccurredAt and Outcome where they
// are empty, and the rest from the context's [Values].
type Event struct {
	// ID is a UUIDv7 unless the caller sets it. It must be unique: sinks use it to recognise
	// an event that is delivered twice.
	ID uuid.UUID `json:"id"`
	// OccurredAt is the app's clock, in UTC, to the microsecond. It is not an
	// order: that is the position in the journal.
	OccurredAt time.Time `json:"occurred_at"`
	// Action matches ^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$, at most 255 bytes.
	Action string `json:"action"`
	// Outcome is how the action went, not how its transaction ended.
	Outcome EventOutcome `json:"outcome"`
	// Actor is who did it; the zero value means that no actor is known.
	Actor Actor `json:"actor,omitzero"`
	// Target is what it was done to.
	Target Target `json:"target,omitzero"`

	TenantID      string `json:"tenant_id,omitempty"`
	RequestID     string `json:"request_id,omitempty"`
	CorrelationID string `json:"correlation_id,omitempty"`
	CausationID   string `json:"causation_id,omitempty"`
	JobID         string `json:"job_id,omitempty"`
	// TraceParent is a W3C Trace Context traceparent header.
	TraceParent string `json:"trace_parent,omitempty"`
	// IPAddress is the client's, as text.
	IPAddress string `json:"ip_address,omitempty"`
	// UserAgent is at most 512 bytes.
	UserAgent string `json:"user_agent,omitempty"`
	// Reason is why, in a word or a code; Comment is why, in sentences.
	Reason  string `json:"reason,omitempty"`
	Comment string `json:"comment,omitempty"`
	// Metadata is at most 8192 bytes as JSON, in at most [MaxDepth] levels.
	// Record keeps a copy of what its JSON says, as stores return it: strings,
	// bools, nil, json.Number without an exponent, []any and map[string]any.
	Metadata map[string]any `json:"metadata,omitempty"`

	// Application and Host say which program wrote the event, and where it ran.
	Application string `json:"application,omitempty"`
	Host        string `json:"host,omitempty"`
	// Captured is true for an event that the driver made from a statement, and
	// false for one that the app recorded.
	Captured bool `json:"captured,omitempty"`
}

// EventOutcome says how an action went.
type EventOutcome string

// The outcomes of an action. Failure is an expected refusal (a wrong password),
// error an unexpected one.
const (
	Success EventOutcome = "success"
	Failure EventOutcome = "failure"
	Errored EventOutcome = "error"
)

// Actor is who acted. The zero value means unattributed: no actor is known, which
// is not the same as [Anonymous], a person who did not say who they are.
type Actor struct {
	Type ActorType `json:"type,omitempty"`
	ID   string    `json:"id,omitempty"`
	Name string    `json:"name,omitempty"`
	// OnBehalfOf is the ID of the user for whom the actor acted, as an
	// administrator who impersonates a user does.
	OnBehalfOf string `json:"on_behalf_of,omitempty"`
}

// IsZero reports whether no actor is known.
func (a Actor) IsZero() bool { return a == Actor{} }

// IsKnown reports whether a names an actor: it has one of the types below, and an
// ID, which only system and anonymous actors may leave empty. [Record] refuses any
// other but the zero value; a captured event with such an actor counts as
// unattributed, and does not keep it.
func (a Actor) IsKnown() bool { return !a.IsZero() && validateActor(a) == nil }

// ActorType is a kind of actor.
type ActorType string

// The kinds of actor.
const (
	User           ActorType = "user"
	Admin          ActorType = "admin"
	ServiceAccount ActorType = "service_account"
	Job            ActorType = "job"
	System         ActorType = "system"
	Anonymous      ActorType = "anonymous"
)

// Target is what an action was done to.
type Target struct {
	Type string `json:"type,omitempty"`
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

// IsZero reports whether no target is named.
func (t Target) IsZero() bool { return t == Target{} }
