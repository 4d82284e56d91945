package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/lenient"
)

// row is an event as the columns of the table have it, as a member of the JSON
// array that a flush sends.
type row struct {
	ID            uuid.UUID          `json:"id"`
	OccurredAt    string             `json:"occurred_at"`
	Action        string             `json:"action"`
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
	Captured      bool               `json:"captured,omitempty"`
}

func formatTime(t time.Time) string { return t.UTC().Format(lenient.TimeForm) }

func rowOf(e *hooks.Event) row {
	return row{
		ID: e.ID, OccurredAt: formatTime(e.OccurredAt), Action: e.Action, Outcome: e.Outcome,
		ActorType: e.Actor.Type, ActorID: e.Actor.ID, ActorName: e.Actor.Name, OnBehalfOf: e.Actor.OnBehalfOf,
		TargetType: e.Target.Type, TargetID: e.Target.ID, TargetName: e.Target.Name,
		TenantID: e.TenantID, RequestID: e.RequestID, CorrelationID: e.CorrelationID,
		CausationID: e.CausationID, JobID: e.JobID, TraceParent: e.TraceParent,
		IPAddress: e.IPAddress, UserAgent: e.UserAgent, Reason: e.Reason, Comment: e.Comment,
		Metadata: e.Metadata, Application: e.Application, Host: e.Host, Captured: e.Captured,
	}
}

// document encodes events as a JSON array of rows.
func document(events []hooks.Event) ([]byte, error) {
	var b bytes.Buffer
	separator := byte('[')
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for i := range events {
		b.WriteByte(separator)
		separator = ','
		if err := enc.Encode(rowOf(&events[i])); err != nil {
			return nil, fmt.Errorf("journal: event %s (%s): %w", events[i].ID, events[i].Action, err)
		}
		b.Truncate(b.Len() - 1) // Encode's newline
	}
	b.WriteByte(']')
	return b.Bytes(), nil
}
