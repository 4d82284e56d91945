// Package eventsize estimates what events take in memory, for limits on what is kept. The
// length of a document is another thing: a map takes ten times as much as its JSON.
package eventsize

import (
	"encoding/json"
	"unsafe"

	"github.com/go-aftercommit/aftercommit/hooks"
)

const fixed = int(unsafe.Sizeof(hooks.Event{}))

// Of estimates what an event takes, in bytes, as if it shared nothing with another one.
func Of(e *hooks.Event) int {
	n := fixed +
		len(e.Action) + len(e.Outcome) +
		len(e.Actor.Type) + len(e.Actor.ID) + len(e.Actor.Name) + len(e.Actor.OnBehalfOf) +
		len(e.Target.Type) + len(e.Target.ID) + len(e.Target.Name) +
		len(e.TenantID) + len(e.RequestID) + len(e.CorrelationID) + len(e.CausationID) + len(e.JobID) + len(e.TraceParent) +
		len(e.IPAddress) + len(e.UserAgent) + len(e.Reason) + len(e.Comment) + len(e.Application) + len(e.Host)
	if e.Metadata != nil {
		n += ofMap(e.Metadata)
	}
	return n
}

// What a map takes without members, and a member of a map or a list: a map grows when it is
// seven eighths full, a list by doubling. A text has a header, and its bytes are rounded up.
const (
	emptyMap    = 320
	perMember   = 88
	perElement  = 32
	perText     = 24
	emptyList   = 24
	plainNumber = 8
)

func ofMap(m map[string]any) int {
	n := emptyMap
	for k, v := range m {
		n += perMember + len(k) + of(v)
	}
	return n
}

func of(v any) int {
	switch v := v.(type) {
	case nil, bool:
		return 0
	case string:
		return perText + len(v)
	case json.Number:
		return perText + len(v)
	case map[string]any:
		return ofMap(v)
	case []any:
		n := emptyList
		for _, w := range v {
			n += perElement + of(w)
		}
		return n
	}
	return plainNumber
}
