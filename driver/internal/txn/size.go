package txn

import (
	"encoding/json"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/eventsize"
)

// What a transaction keeps beside an event, in bytes: its item and, for a captured one, its
// counts and what finds it by its key.
const (
	perEvent    = 128
	perCaptured = 384
)

// sizeOf estimates what a recorded event takes in memory, in bytes.
func sizeOf(e *hooks.Event) int { return perEvent + eventsize.Of(e) }

// size estimates what the event of a key takes in memory, in bytes. What else a context says
// is shared by all events of the context.
func (k *Key) size() int {
	v := &k.Values
	return perCaptured + eventsize.Of(&hooks.Event{
		Action: k.Action, Target: k.Target, Actor: v.Actor, Reason: v.Reason, UserAgent: v.UserAgent,
	}) + len(k.Via)
}

// lengthOf estimates how long an event is in a document, in bytes.
func lengthOf(e *hooks.Event) int {
	const names = 512
	n := names + len(e.Action) + len(e.Comment) + len(e.Reason) + len(e.UserAgent) +
		len(e.Actor.ID) + len(e.Actor.Name) + len(e.Actor.OnBehalfOf) + len(e.Target.ID) + len(e.Target.Name) + len(e.Target.Type) +
		len(e.TenantID) + len(e.RequestID) + len(e.CorrelationID) + len(e.CausationID) + len(e.JobID) +
		len(e.TraceParent) + len(e.IPAddress) + len(e.Application) + len(e.Host)
	if len(e.Metadata) > 0 {
		n += lengthOfJSON(e.Metadata)
	}
	return n
}

// lengthOfJSON estimates the length of a decoded value as JSON.
func lengthOfJSON(v any) int {
	n := 4
	switch v := v.(type) {
	case string:
		n += len(v)
	case json.Number:
		n += len(v)
	case []any:
		for _, w := range v {
			n += lengthOfJSON(w)
		}
	case map[string]any:
		for k, w := range v {
			n += len(k) + lengthOfJSON(w)
		}
	}
	return n
}
