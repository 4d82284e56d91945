package hooks

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Notice is one thing that happened to the audit trail itself. Observers get
// them; nothing is decided by them. In JSON Err is its text.
type Notice struct {
	Kind NoticeKind `json:"kind"`
	// Time is when it was noticed.
	Time time.Time `json:"time"`
	// Driver is the registered name of the database's driver.
	Driver string `json:"driver,omitempty"`
	// Events are the events that it is about, where they are known.
	Events []uuid.UUID `json:"events,omitempty"`
	// Count is how many events or statements it is about.
	Count int `json:"count"`
	// Forwarder and Dispatch name the forwarder, where it is about a delivery.
	// Dispatch is "sync" or "async"; it stays "sync" where the relay delivers what
	// was missed within Commit.
	Forwarder string `json:"forwarder,omitempty"`
	Dispatch  string `json:"dispatch,omitempty"`
	// Attempt counts from 1.
	Attempt int `json:"attempt,omitempty"`
	// NextAt is when the relay tries again at the earliest, after NoticeFailed; zero if
	// it does not, or if that is not known.
	NextAt time.Time `json:"next_at,omitzero"`
	// Reason is a stable word, such as "timeout" or "schema_mismatch".
	Reason string `json:"reason,omitempty"`
	// Permanent says that trying again is no use.
	Permanent bool `json:"permanent,omitempty"`
	// Duration is how long it took, for a delivery.
	Duration time.Duration `json:"duration_ns,omitempty"`
	// Err is the error, if it is about one.
	Err error `json:"error,omitempty"`
}

// MarshalJSON implements [json.Marshaler].
func (n Notice) MarshalJSON() ([]byte, error) {
	type plain Notice // without this method
	text := ""
	if n.Err != nil {
		text = n.Err.Error()
	}
	return json.Marshal(struct {
		plain
		Err string `json:"error,omitempty"`
	}{plain(n), text})
}

// NoticeKind names a kind of Notice.
type NoticeKind string

// The kinds of notice.
const (
	// NoticeLogged: events were written and their transaction committed.
	NoticeLogged NoticeKind = "logged"
	// NoticeEnqueued: events were handed to a queue for a forwarder.
	NoticeEnqueued NoticeKind = "enqueued"
	// NoticeWaiting: events were committed, and nothing in this process can deliver
	// them now ("standby", "read_only", "no_connection", "setup", "attach",
	// "place", "closed", "error"). They are in the journal, and are
	// delivered once one can.
	NoticeWaiting NoticeKind = "waiting"
	// NoticeDelivered: a forwarder accepted them.
	NoticeDelivered NoticeKind = "delivered"
	// NoticeFailed: a forwarder refused them (Reason, Attempt, Permanent, Err), or,
	// if Forwarder is empty, they could not be written ("journal", "no_actor",
	// "read_only"), or the hook has failed ("connect", "panic").
	NoticeFailed NoticeKind = "failed"
	// NoticeDiscarded: no further attempt will be made.
	NoticeDiscarded NoticeKind = "discarded"
	// NoticeRolledBack: events were rolled back with their transaction, or with a
	// savepoint in it.
	NoticeRolledBack NoticeKind = "rolled_back"
	// NoticeUnknown: how their transaction ended is not known yet.
	NoticeUnknown NoticeKind = "unknown"
	// NoticeSettled: an unknown outcome is known now; Reason is the outcome.
	NoticeSettled NoticeKind = "settled"
	// NoticeUncaptured: writes happened that capture could not see into.
	NoticeUncaptured NoticeKind = "uncaptured"
	// NoticeUnmatched: capture rules name tables that do not exist ("no_table"), or
	// the catalog cannot be read, so that rules are matched with the names that
	// statements use ("no_catalog"). Err says which.
	NoticeUnmatched NoticeKind = "unmatched"
	// NoticeLost: events could not be written, and the transaction committed
	// without them (best effort), or had committed already; or it may have, having
	// written nothing itself, when its connection was lost during COMMIT.
	NoticeLost NoticeKind = "lost"
	// NoticeUnattributed: events without an actor, captured or recorded.
	NoticeUnattributed NoticeKind = "unattributed"
	// NoticeCallback: an OnCommit or OnRollback function panicked or did not
	// return in time; or was dropped because the outcome is unknown.
	NoticeCallback NoticeKind = "callback"
	// NoticeSuspended: a forwarder accepts nothing; its entries wait, without an
	// attempt being counted.
	NoticeSuspended NoticeKind = "suspended"
	// NoticeResumed: it accepts entries again.
	NoticeResumed NoticeKind = "resumed"
	// NoticeConflict: another program has registered a different forwarder by the
	// same name (Err says which), so that one of the two gets nothing.
	NoticeConflict NoticeKind = "conflict"
	// NoticeLag: a forwarder is behind by Duration. Count is how many events wait, counted
	// in at most 1,000 rows of the journal. It is counted anew only when the lag has more
	// than doubled, or is less than half.
	NoticeLag NoticeKind = "lag"
	// NoticeMode: the mode was changed; Reason is the new one.
	NoticeMode NoticeKind = "mode"
)

// Observer gets notices. Observe is called concurrently and must not block; a
// panic in it is isolated and counted.
type Observer interface {
	Observe(n Notice)
}

// ObserverFunc makes an Observer of a function.
type ObserverFunc func(n Notice)

// Observe calls f.
func (f ObserverFunc) Observe(n Notice) { f(n) }
