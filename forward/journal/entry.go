package journal

import (
	"encoding/json"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Entry is an event as the journal keeps it, or a row change.
type Entry struct {
	hooks.Event

	// Position is where it is. It orders the entries of a transaction; commits may become
	// visible in another order.
	Position
	// Tx names the transaction that wrote the entry.
	Tx TxKey `json:"tx"`
	// RecordedAt is the database's clock at the flush, on SQLite the process's.
	RecordedAt time.Time `json:"recorded_at"`
	// Role is the database role of the app's session.
	Role string `json:"role,omitempty"`
	// Change is nil for an event. Of a row change, for forwarders that ask for them (forward.WithChanges), it is the JSON
	// of changes.Diff. Then Action is row.inserted, row.updated, row.deleted or row.truncated, Target the table and the
	// row's key, RecordedAt when the change was captured, and Role and Application are those of the session. There is no
	// actor: the events of the same Tx have it, and come before.
	Change json.RawMessage `json:"change,omitempty"`
	// Unreadable says what of the entry cannot be read, such as
	// `occurred_at: "infinity" is no time in the years 1 to 9999`, and is empty for
	// all others. What can be read of it is in its fields. Such an entry was
	// written to the table by other means than package hooks, or has been changed since; it
	// goes to no forwarder.
	Unreadable string `json:"unreadable,omitempty"`
}

// TxKey names a transaction. PostgreSQL: its xid8 and transaction_timestamp();
// the pair stays unique across dump and restore, where xids begin anew. SQLite:
// a random number and the time of the first flush.
type TxKey struct {
	ID        int64     `json:"id"`
	StartedAt time.Time `json:"started_at"`
}
