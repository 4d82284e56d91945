package trail

import (
	"strconv"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

// Line is a line of a bundle. One of its pointers is set. Its JSON only ever gets more members; those that are empty are
// left out, and times are in UTC:
//
//	{"bundle":{"version":1,"written_at":"2026-11-30T12:00:00.000000Z","query":{"correlation_id":"c-7"}}}
//	{"transaction":{"xid":"775","started_at":"2026-11-30T10:00:00.000001Z","state":"recorded","contexts":[{"actor":{"type":"user","id":"alice"}}],"role":"shop"}}
//	{"action":{"id":"…","action":"order.refunded","reason":"damaged",…},"matches":true}
//	{"change":{"op":"update","schema":"public","table":"orders","key":["42"],"fields":[…],…},"matches":true}
//	{"lost":{"schema":"public","table":"orders","op":"delete","reason":"…","count":2}}
//	{"difference":{"statements":["…"],"rows":3,"changes":2,"reason":"…"}}
//	{"break":{"kind":"truncated","from":"…","to":"…","schema":"public","table":"orders","text":"…"}}
//	{"unknown":{"about":"transaction 775, begun 2026-11-30T10:00:00.000001Z","reason":"its events are not yet delivered"}}
//	{"end":{"transactions":1,"actions":1,"changes":1,"unknown":1,"complete":true,"sha256":"…"}}
//
// [encoding/json] reads them, too.
type Line struct {
	Bundle      *Head        `json:"bundle,omitempty"`
	Transaction *Transaction `json:"transaction,omitempty"`
	// Action and Change belong to the transaction whose line came last, except one with another transaction's ID or none,
	// which stands alone. Matches says that the query finds it; the others are what else the transaction did.
	Action  *threadline.Action `json:"action,omitempty"`
	Change  *changes.Diff      `json:"change,omitempty"`
	Matches bool               `json:"matches,omitempty"`
	// Lost and Difference belong to the transaction, too.
	Lost       *Lost       `json:"lost,omitempty"`
	Difference *Difference `json:"difference,omitempty"`
	Break      *Break      `json:"break,omitempty"`
	Unknown    *Unknown    `json:"unknown,omitempty"`
	End        *End        `json:"end,omitempty"`
}

// Head is the first line.
type Head struct {
	Version int `json:"version"` // 1
	// WrittenAt is when the bundle was begun, by the clock of the program. What was committed later may be missing.
	WrittenAt string `json:"written_at"`
	Query     Query  `json:"query"`
}

// Transaction is a transaction, and who made it.
type Transaction struct {
	XID       string `json:"xid"` // in decimal, as in changes.Diff
	StartedAt string `json:"started_at"`
	// State, Reason and the rest are those of [changes.Attribution]. They are empty if no row change of the transaction
	// is kept; then its actions say who made it.
	State       changes.State `json:"state,omitempty"`
	Reason      string        `json:"reason,omitempty"`
	Contexts    []Context     `json:"contexts,omitempty"`
	Role        string        `json:"role,omitempty"`
	Application string        `json:"application,omitempty"`
	Client      string        `json:"client,omitempty"`
}

// Context is a [changes.Context].
type Context struct {
	Actor         hooks.Actor `json:"actor,omitzero"`
	TenantID      string      `json:"tenant_id,omitempty"`
	RequestID     string      `json:"request_id,omitempty"`
	CorrelationID string      `json:"correlation_id,omitempty"`
	JobID         string      `json:"job_id,omitempty"`
	IPAddress     string      `json:"ip_address,omitempty"`
	UserAgent     string      `json:"user_agent,omitempty"`
	Application   string      `json:"application,omitempty"`
	Host          string      `json:"host,omitempty"`
	Role          string      `json:"role,omitempty"`
}

// Lost is a [changes.Loss].
type Lost struct {
	Schema string     `json:"schema,omitempty"`
	Table  string     `json:"table,omitempty"`
	Op     changes.Op `json:"op"`
	Reason string     `json:"reason"`
	Count  int        `json:"count"`
}

// Difference is a [threadline.Difference]. Its statements are the IDs of captured events.
type Difference struct {
	Statements []string `json:"statements"`
	Rows       int      `json:"rows"`
	Changes    int      `json:"changes"`
	Expected   bool     `json:"expected,omitempty"`
	Reason     string   `json:"reason"`
}

// Break is a [changes.Break].
type Break struct {
	Kind   changes.BreakKind `json:"kind"`
	From   string            `json:"from"`
	To     string            `json:"to"`
	Schema string            `json:"schema"`
	Table  string            `json:"table"`
	Text   string            `json:"text"`
}

// Unknown says what is not known, and why.
type Unknown struct {
	About  string `json:"about"`
	Reason string `json:"reason"`
}

// End is the last line, with how many there are of some others. A file without one was cut off.
type End struct {
	Transactions int `json:"transactions"`
	Actions      int `json:"actions"`
	Changes      int `json:"changes"`
	Unknown      int `json:"unknown"`
	// Complete says that all that matches is there: there were not more than [MaxTransactions].
	Complete bool `json:"complete"`
	// SHA256 is that of all lines above, with their line breaks, in hex. [Reader.WriteBundle] sets it.
	SHA256 string `json:"sha256,omitempty"`
}

// instant formats a time with six digits of a second, as in changes.Diff.
func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

func transactionOf(tx journal.TxKey, by *changes.Attribution) *Transaction {
	t := &Transaction{XID: strconv.FormatInt(tx.ID, 10), StartedAt: instant(tx.StartedAt)}
	if by == nil {
		return t
	}
	t.State, t.Reason = by.State, by.Reason
	t.Role, t.Application, t.Client = by.Origin.Role, by.Origin.Application, by.Origin.Client
	for _, c := range by.Contexts {
		t.Contexts = append(t.Contexts, Context(c))
	}
	return t
}
