package journal

import (
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// textColumns are the texts of an entry, the last columns of each dialect's SELECT.
var textColumns = [...]string{
	"role", "action",
	"actor_type", "actor_id", "actor_name", "on_behalf_of",
	"target_type", "target_id", "target_name",
	"tenant_id", "request_id", "correlation_id", "causation_id", "job_id", "trace_parent",
	"ip_address", "user_agent", "reason", "comment", "metadata", "application", "host",
}

// scanner scans entries whose columns are those of byID, list and all.
type scanner struct {
	hex     bool // texts are hex digits
	texts   [len(textColumns)]sql.RawBytes
	decoded []byte // reused
}

func (s *scanner) scan(rows *sql.Rows) (Entry, error) {
	var e Entry
	dest := [8 + len(textColumns)]any{
		&e.Seq, &e.Tx.ID, (*moment)(&e.Tx.StartedAt), (*moment)(&e.RecordedAt),
		&e.ID, (*moment)(&e.OccurredAt), &e.Outcome, &e.Captured,
	}
	for i := range s.texts {
		dest[8+i] = &s.texts[i]
	}
	if err := rows.Scan(dest[:]...); err != nil {
		return e, err
	}
	var actorType, metadata string
	for i, to := range [...]*string{
		&e.Role, &e.Action,
		&actorType, &e.Actor.ID, &e.Actor.Name, &e.Actor.OnBehalfOf,
		&e.Target.Type, &e.Target.ID, &e.Target.Name,
		&e.TenantID, &e.RequestID, &e.CorrelationID, &e.CausationID, &e.JobID, &e.TraceParent,
		&e.IPAddress, &e.UserAgent, &e.Reason, &e.Comment, &metadata, &e.Application, &e.Host,
	} {
		if err := s.text(i, to); err != nil {
			return e, err
		}
	}
	e.Actor.Type = hooks.ActorType(actorType)
	if metadata == "" {
		return e, nil
	}
	dec := json.NewDecoder(strings.NewReader(metadata))
	dec.UseNumber()
	if err := dec.Decode(&e.Metadata); err != nil {
		return e, fmt.Errorf("metadata of event %s: %w", e.ID, err)
	}
	return e, nil
}

// text copies a text; most are empty.
func (s *scanner) text(i int, to *string) error {
	b := s.texts[i]
	if len(b) == 0 {
		return nil
	}
	if s.hex {
		var err error
		if s.decoded, err = hex.AppendDecode(s.decoded[:0], b); err != nil {
			return fmt.Errorf("column %s: %w", textColumns[i], err)
		}
		b = s.decoded
	}
	*to = string(b)
	return nil
}
