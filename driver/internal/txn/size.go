package txn

import (
	"encoding/json"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// sizeOf estimates what an event takes in memory, in bytes.
func sizeOf(e *hooks.Event) int {
	n := 512 + len(e.Action) + len(e.Comment) + len(e.Reason) + len(e.UserAgent) +
		len(e.Actor.ID) + len(e.Actor.Name) + len(e.Target.ID) + len(e.Target.Name)
	if len(e.Metadata) > 0 {
		n += sizeOfJSON(e.Metadata)
	}
	return n
}

// sizeOfOthers is what sizeOf leaves out, because in most events it is empty or short.
func sizeOfOthers(e *hooks.Event) int {
	return len(e.Actor.OnBehalfOf) + len(e.TenantID) + len(e.RequestID) + len(e.CorrelationID) + len(e.CausationID) + len(e.JobID) +
		len(e.TraceParent) + len(e.IPAddress) + len(e.Application) + len(e.Host)
}

// sizeOfJSON estimates the length of a decoded value as JSON.
func sizeOfJSON(v any) int {
	n := 4
	switch v := v.(type) {
	case string:
		n += len(v)
	case json.Number:
		n += len(v)
	case []any:
		for _, w := range v {
			n += sizeOfJSON(w)
		}
	case map[string]any:
		for k, w := range v {
			n += len(k) + sizeOfJSON(w)
		}
	}
	return n
}

// size estimates what the event of a key takes in memory, in bytes.
func (k *Key) size() int {
	v := &k.Values
	return sizeOf(&hooks.Event{
		Action: k.Action, Target: k.Target, Actor: v.Actor, Reason: v.Reason, UserAgent: v.UserAgent,
	}) + len(k.Via)
}
