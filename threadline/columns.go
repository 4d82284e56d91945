package threadline

import (
	"database/sql"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/lenient"
)

// document is an entry as the database's record function takes it. Its names
// are those of the columns; what is empty is left out and becomes null.
type document struct {
	ID            uuid.UUID          `json:"id"`
	Name          string             `json:"name"`
	Outcome       hooks.EventOutcome `json:"outcome"`
	ActorType     hooks.ActorType    `json:"actor_type,omitempty"`
	ActorID       string             `json:"actor_id,omitempty"`
	ActorName     string             `json:"actor_name,omitempty"`
	OnBehalfOf    string             `json:"on_behalf_of,omitempty"`
	TargetType    string             `json:"target_type,omitempty"`
	TargetID      string             `json:"target_id,omitempty"`
	TargetName    string             `json:"target_name,omitempty"`
	TenantID      string             `json:"tenant_id,omitempty"`
	RequestID     string             `json:"request_id,omitempty"`
	CorrelationID string             `json:"correlation_id,omitempty"`
	CausationID   string             `json:"causation_id,omitempty"`
	JobID         string             `json:"job_id,omitempty"`
	TraceParent   string             `json:"trace_parent,omitempty"`
	IPAddress     string             `json:"ip_address,omitempty"`
	UserAgent     string             `json:"user_agent,omitempty"`
	Reason        string             `json:"reason,omitempty"`
	Comment       string             `json:"comment,omitempty"`
	Metadata      map[string]any     `json:"metadata,omitempty"`
	Application   string             `json:"application,omitempty"`
	Host          string             `json:"host,omitempty"`
	Role          string             `json:"role,omitempty"`
	Captured      bool               `json:"captured,omitempty"`
	OccurredAt    string             `json:"occurred_at"`
	RecordedAt    string             `json:"recorded_at"`
	JournalKey    uuid.UUID          `json:"journal_key,omitzero"`
	Seq           int                `json:"seq,omitempty"` // the place in the flush
	TxID          int64              `json:"tx_id,omitempty"`
	TxStartedAt   string             `json:"tx_started_at,omitempty"`
}

func newDocument(e *journal.Entry) document {
	d := document{
		ID: e.ID, Name: e.Action, Outcome: e.Outcome,
		ActorType: e.Actor.Type, ActorID: e.Actor.ID, ActorName: e.Actor.Name, OnBehalfOf: e.Actor.OnBehalfOf,
		TargetType: e.Target.Type, TargetID: e.Target.ID, TargetName: e.Target.Name,
		TenantID: e.TenantID, RequestID: e.RequestID, CorrelationID: e.CorrelationID,
		CausationID: e.CausationID, JobID: e.JobID, TraceParent: e.TraceParent,
		IPAddress: e.IPAddress, UserAgent: e.UserAgent, Reason: e.Reason, Comment: e.Comment,
		Metadata: e.Metadata, Application: e.Application, Host: e.Host, Role: e.Role,
		Captured: e.Captured, JournalKey: e.Key, Seq: e.Ordinal, TxID: e.Tx.ID,
		OccurredAt: e.OccurredAt.UTC().Format(lenient.TimeForm),
		RecordedAt: e.RecordedAt.UTC().Format(lenient.TimeForm),
	}
	if e.RecordedAt.IsZero() { // forwarded from memory: no journal, no clock of its own
		d.RecordedAt = d.OccurredAt
	}
	if !e.Tx.StartedAt.IsZero() {
		d.TxStartedAt = e.Tx.StartedAt.UTC().Format(lenient.TimeForm)
	}
	return d
}

// selected are the columns that Timeline reads, in the order of Action.texts.
const selected = `id, name, outcome, actor_type, actor_id, actor_name, on_behalf_of, ` +
	`target_type, target_id, target_name, tenant_id, request_id, correlation_id, causation_id, ` +
	`job_id, trace_parent, ip_address, user_agent, reason, comment, metadata, application, host, ` +
	`role, captured, occurred_at, recorded_at, seq, tx_id, tx_started_at, inserted_at, journal_key`

var selectedColumns = strings.Split(selected, ", ")

// row scans what columns returns.
type row struct {
	lenient.Row
	values [32]sql.RawBytes // of the selected columns
}

// scan returns the action that rows is at. What cannot be read of it is
// Action.Unreadable, since the actions after it are to be read all the same.
func (r *row) scan(rows *sql.Rows) (a Action, err error) {
	dest := make([]any, len(r.values))
	for i := range r.values {
		dest[i] = &r.values[i]
	}
	if err = rows.Scan(dest...); err != nil {
		return a, err
	}
	r.Begin()
	for i, text := range a.texts() {
		if column, value := selectedColumns[i], r.values[i]; text != nil {
			*text = r.Text(column, value)
		} else {
			r.read(&a, column, value)
		}
	}
	a.Unreadable = r.Unreadable()
	return a, nil
}

// texts are where the texts of the selected columns are in a, in their order.
func (a *Action) texts() [32]*string {
	return [...]*string{
		nil, &a.Action, (*string)(&a.Outcome), (*string)(&a.Actor.Type), &a.Actor.ID, &a.Actor.Name, &a.Actor.OnBehalfOf,
		&a.Target.Type, &a.Target.ID, &a.Target.Name, &a.TenantID, &a.RequestID, &a.CorrelationID, &a.CausationID,
		&a.JobID, &a.TraceParent, &a.IPAddress, &a.UserAgent, &a.Reason, &a.Comment, nil, &a.Application, &a.Host,
		&a.Role, nil, nil, nil, nil, nil, nil, nil, nil,
	}
}

func (r *row) read(a *Action, column string, value []byte) {
	if len(value) == 0 && (column == "tx_id" || column == "tx_started_at" || column == keyColumn) {
		return // an entry that came from no journal has none
	}
	switch column {
	case "id":
		a.ID = r.ID(column, value)
	case "metadata":
		a.Metadata = r.Object(column, value)
	case "captured":
		a.Captured = r.Bool(column, value)
	case "seq":
		a.Ordinal = int(r.Int(column, value))
	case keyColumn:
		a.Key = r.ID(column, value)
	case "tx_id":
		a.Tx.ID = r.Int(column, value)
	default:
		*a.time(column) = r.Time(column, value)
	}
}

func (a *Action) time(column string) *time.Time {
	switch column {
	case "occurred_at":
		return &a.OccurredAt
	case "recorded_at":
		return &a.RecordedAt
	case "tx_started_at":
		return &a.Tx.StartedAt
	default:
		return &a.InsertedAt
	}
}
