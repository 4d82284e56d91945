package threadline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// timeFormat has one width, so that SQLite's texts sort by time.
const timeFormat = "2006-01-02T15:04:05.000000Z"

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
	Seq           int64              `json:"seq,omitempty"`
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
		Captured: e.Captured, Seq: e.Seq, TxID: e.Tx.ID,
		OccurredAt: e.OccurredAt.UTC().Format(timeFormat),
		RecordedAt: e.RecordedAt.UTC().Format(timeFormat),
	}
	if e.RecordedAt.IsZero() { // forwarded from memory: no journal, no clock of its own
		d.RecordedAt = d.OccurredAt
	}
	if !e.Tx.StartedAt.IsZero() {
		d.TxStartedAt = e.Tx.StartedAt.UTC().Format(timeFormat)
	}
	return d
}

// selected are the columns that Timeline reads, in the order of targets.
const selected = `id, name, outcome, actor_type, actor_id, actor_name, on_behalf_of, ` +
	`target_type, target_id, target_name, tenant_id, request_id, correlation_id, causation_id, ` +
	`job_id, trace_parent, ip_address, user_agent, reason, comment, metadata, application, host, ` +
	`role, captured, occurred_at, recorded_at, seq, tx_id, tx_started_at, inserted_at`

// targets are the places in a that the selected columns are scanned into.
func (a *Action) targets() []any {
	return []any{
		&a.ID, &a.Action, &a.Outcome,
		orEmpty(&a.Actor.Type),
		orEmpty(&a.Actor.ID),
		orEmpty(&a.Actor.Name),
		orEmpty(&a.Actor.OnBehalfOf),
		orEmpty(&a.Target.Type),
		orEmpty(&a.Target.ID),
		orEmpty(&a.Target.Name),
		orEmpty(&a.TenantID),
		orEmpty(&a.RequestID),
		orEmpty(&a.CorrelationID),
		orEmpty(&a.CausationID),
		orEmpty(&a.JobID),
		orEmpty(&a.TraceParent),
		orEmpty(&a.IPAddress),
		orEmpty(&a.UserAgent),
		orEmpty(&a.Reason),
		orEmpty(&a.Comment),
		metadata{&a.Metadata},
		orEmpty(&a.Application),
		orEmpty(&a.Host),
		orEmpty(&a.Role),
		&a.Captured,
		moment{&a.OccurredAt},
		moment{&a.RecordedAt},
		&a.Seq,
		number{&a.Tx.ID},
		moment{&a.Tx.StartedAt},
		moment{&a.InsertedAt},
	}
}

// text scans a text whose null is the empty one.
type text[T ~string] struct{ dst *T }

func orEmpty[T ~string](dst *T) text[T] { return text[T]{dst} }

func (t text[T]) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*t.dst = ""
	case string:
		*t.dst = T(v)
	case []byte:
		*t.dst = T(v)
	default:
		return fmt.Errorf("text read as %T", src)
	}
	return nil
}

// number scans an integer whose null is zero.
type number struct{ dst *int64 }

func (n number) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*n.dst = 0
	case int64:
		*n.dst = v
	default:
		return fmt.Errorf("integer read as %T", src)
	}
	return nil
}

// moment scans a time, which SQLite has as text.
type moment struct{ dst *time.Time }

func (m moment) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*m.dst = time.Time{}
		return nil
	case time.Time:
		*m.dst = v.UTC()
		return nil
	case string:
		return m.parse(v)
	case []byte:
		return m.parse(string(v))
	}
	return fmt.Errorf("time read as %T", src)
}

func (m moment) parse(s string) error {
	t, err := time.Parse(time.RFC3339Nano, s)
	*m.dst = t.UTC()
	return err
}

// metadata scans a JSON object and keeps its numbers exact.
type metadata struct{ dst *map[string]any }

func (m metadata) Scan(src any) error {
	var doc string
	if err := orEmpty(&doc).Scan(src); err != nil {
		return err
	}
	*m.dst = nil
	if doc == "" {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(doc)))
	dec.UseNumber()
	return dec.Decode(m.dst)
}
