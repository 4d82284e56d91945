package journal

import (
	"database/sql"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
)

// plainColumns are the first columns of each dialect's SELECT.
var plainColumns = [...]string{"seq", "tx", "tx_started_at", "recorded_at", "id", "occurred_at", "captured"}

// textColumns are the texts of an entry, the columns after plainColumns.
var textColumns = [...]string{
	"role", "action", "outcome",
	"actor_type", "actor_id", "actor_name", "on_behalf_of",
	"target_type", "target_id", "target_name",
	"tenant_id", "request_id", "correlation_id", "causation_id", "job_id", "trace_parent",
	"ip_address", "user_agent", "reason", "comment", "metadata", "application", "host",
}

// scanner scans entries whose columns are those of byID, list and all.
type scanner struct {
	row   lenient.Row
	plain [len(plainColumns)]sql.RawBytes
	texts [len(textColumns)]sql.RawBytes
}

// scan returns the row that rows is at. What cannot be read of it is
// Entry.Unreadable, since the rows after it are to be read all the same.
func (s *scanner) scan(rows *sql.Rows) (Entry, error) {
	var e Entry
	var dest [len(plainColumns) + len(textColumns)]any
	for i := range s.plain {
		dest[i] = &s.plain[i]
	}
	for i := range s.texts {
		dest[len(s.plain)+i] = &s.texts[i]
	}
	if err := rows.Scan(dest[:]...); err != nil {
		return e, err
	}
	s.row.Begin()
	s.readPlain(&e)
	s.readTexts(&e)
	e.Unreadable = s.row.Unreadable()
	return e, nil
}

func (s *scanner) readPlain(e *Entry) {
	r, columns := &s.row, &plainColumns
	e.Seq = r.Int(columns[0], s.plain[0])
	e.Tx.ID = r.Int(columns[1], s.plain[1])
	e.Tx.StartedAt = r.Time(columns[2], s.plain[2])
	e.RecordedAt = r.Time(columns[3], s.plain[3])
	e.ID = r.ID(columns[4], s.plain[4])
	e.OccurredAt = r.Time(columns[5], s.plain[5])
	e.Captured = r.Bool(columns[6], s.plain[6])
}

func (s *scanner) readTexts(e *Entry) {
	for i, to := range [...]*string{
		&e.Role, &e.Action, (*string)(&e.Outcome),
		(*string)(&e.Actor.Type), &e.Actor.ID, &e.Actor.Name, &e.Actor.OnBehalfOf,
		&e.Target.Type, &e.Target.ID, &e.Target.Name,
		&e.TenantID, &e.RequestID, &e.CorrelationID, &e.CausationID, &e.JobID, &e.TraceParent,
		&e.IPAddress, &e.UserAgent, &e.Reason, &e.Comment, nil, &e.Application, &e.Host,
	} {
		switch b := s.texts[i]; {
		case len(b) == 0: // most are
		case to == nil:
			e.Metadata = s.row.Object(textColumns[i], b)
		default:
			*to = s.row.Text(textColumns[i], b)
		}
	}
}
