package change

import (
	"cmp"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Attribution says who made the changes of a transaction.
type Attribution struct {
	State State
	// Reason says in words for people what State leaves open, "" for Recorded.
	Reason string
	// Contexts are what the transaction's events say: one, or as many as differ, in no order. There
	// are none unless State is Recorded, or Pending with some of its events delivered. An event without
	// an actor gives a context without one.
	Contexts []Context
	// Events is how many events they are of. These were recorded from First to Last, by the journal's clock.
	Events      int
	First, Last time.Time
	// Origin is what the server knows of the session, whatever its events say.
	Origin Origin
}

// State is what is known of a transaction's events.
type State string

const (
	// Recorded means: the timeline has them, and Contexts says who.
	Recorded State = "recorded"
	// Pending means: the journal has them, and the timeline not yet all of them.
	Pending State = "pending"
	// NoEvent means: there were none. The session was not wrapped, or recorded nothing: see Origin. The journal
	// proves it, not the timeline, which lacks what a filter leaves out and dead letters: the journal was there before
	// the transaction, has nothing of it, and what was purged from it was of other transactions.
	NoEvent State = "none"
	// Unknown means: there may have been some. Reason says why it is not known.
	Unknown State = "unknown"
)

// Context is who made a transaction, and what for.
type Context struct {
	Actor                                     hooks.Actor
	TenantID, RequestID, CorrelationID, JobID string
	IPAddress, UserAgent                      string
	Application, Host                         string
	// Role is that of the session when the event was written.
	Role string
}

// Origin is the session that made a transaction. Its fields are empty if the session has hidden them.
type Origin struct {
	// Role is the role that was set, or else the session's. Application is its application_name,
	// and Client its address: "" for a local connection.
	Role, Application, Client string
}

// Actors returns those of the contexts: each once, with its name if one of them has it, and the zero Actor
// for events without one.
func (a *Attribution) Actors() (actors []hooks.Actor) {
	at := make(map[hooks.Actor]int)
	for i := range a.Contexts {
		actor := a.Contexts[i].Actor
		name := actor.Name
		actor.Name = ""
		n, known := at[actor]
		if !known {
			n = len(actors)
			at[actor] = n
			actors = append(actors, actor)
		}
		if actors[n].Name == "" {
			actors[n].Name = name
		}
	}
	return actors
}

// String says for people who it was: "user:42", "user:42, job:7", or, where no event says it,
// "role shop, psql, from 10.0.0.7 (no event)".
func (a *Attribution) String() string {
	if a.State != Recorded && len(a.Contexts) == 0 {
		why := a.Reason
		if why == "" {
			why = map[State]string{Pending: "its events are not yet delivered", NoEvent: "no event"}[a.State]
		}
		return a.Origin.String() + " (" + cmp.Or(why, "its events are not known") + ")"
	}
	var refs []string
	for _, actor := range a.Actors() {
		ref := "unattributed"
		switch {
		case actor.Type != "" && actor.ID != "":
			ref = string(actor.Type) + ":" + actor.ID
		case actor.Type != "":
			ref = string(actor.Type)
		}
		if actor.OnBehalfOf != "" {
			ref += " on behalf of " + actor.OnBehalfOf
		}
		refs = append(refs, ref)
	}
	who := strings.Join(refs, ", ")
	if who == "unattributed" {
		who = a.Origin.String() + " (unattributed)"
	}
	if a.State != Recorded {
		who += " (" + a.Reason + ")"
	}
	return who
}

// String is the origin in words.
func (o Origin) String() string {
	var parts []string
	if o.Role != "" {
		parts = append(parts, "role "+o.Role)
	}
	if o.Application != "" {
		parts = append(parts, o.Application)
	}
	if o.Client != "" {
		parts = append(parts, "from "+o.Client)
	}
	if parts == nil {
		return "unknown session"
	}
	return strings.Join(parts, ", ")
}
