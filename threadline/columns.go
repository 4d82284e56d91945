package threadline

import (
	"database/sql"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/internal/eventjson"
	"github.com/go-aftercommit/aftercommit/internal/lenient"
)

// selected are the columns that Timeline reads, in the order of texts. Those of an entry have
// the same names in what the database's record function takes.
const selected = `id, name, outcome, actor_type, actor_id, actor_name, on_behalf_of, ` +
	`target_type, target_id, target_name, tenant_id, request_id, correlation_id, causation_id, ` +
	`job_id, trace_parent, ip_address, user_agent, reason, comment, metadata, application, host, ` +
	`role, captured, occurred_at, recorded_at, seq, tx_id, tx_started_at, inserted_at, journal_key`

// searched are the columns, beside the metadata, that [Query.Text] is looked for in.
const searched = "name, actor_id, actor_name, on_behalf_of, target_type, target_id, target_name, reason, comment"

var selectedColumns = strings.Split(selected, ", ")

// appendEntry appends an entry as the record function takes it: what is empty is left out, and
// becomes null. With utf8, texts are not in ASCII.
func appendEntry(b []byte, e *journal.Entry, utf8 bool) ([]byte, error) {
	o := eventjson.Begin(b, utf8)
	for i, text := range texts(e) {
		switch column := selectedColumns[i]; {
		case text == nil:
			if err := appendValue(&o, column, e); err != nil {
				return b, err
			}
		case column == "name" || column == "outcome": // which are never null
			o.Always(column, *text)
		default:
			o.Text(column, *text)
		}
	}
	return o.End(), nil
}

func appendValue(o *eventjson.Object, column string, e *journal.Entry) error {
	switch column {
	case "id":
		o.ID(column, e.ID)
	case "metadata":
		return o.Metadata(column, e.Metadata)
	case "captured":
		o.True(column, e.Captured)
	case "seq":
		o.Int(column, int64(e.Ordinal)) // the place in the flush
	case keyColumn:
		if e.Key != uuid.Nil {
			o.ID(column, e.Key)
		}
	case "tx_id":
		o.Int(column, e.Tx.ID)
	case "occurred_at":
		o.Time(column, e.OccurredAt)
	case "recorded_at":
		if e.RecordedAt.IsZero() { // forwarded from memory: no journal's clock
			o.Time(column, e.OccurredAt)
		} else {
			o.Time(column, e.RecordedAt)
		}
	case "tx_started_at":
		if !e.Tx.StartedAt.IsZero() {
			o.Time(column, e.Tx.StartedAt)
		}
	}
	return nil
}

// row scans the columns of selected.
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
	for i, text := range texts(&a.Entry) {
		if column, value := selectedColumns[i], r.values[i]; text != nil {
			*text = r.Text(column, value)
		} else {
			r.read(&a, column, value)
		}
	}
	a.Unreadable = r.Unreadable()
	return a, nil
}

// texts are where the texts of the selected columns are in e, in their order.
func texts(e *journal.Entry) [32]*string {
	return [...]*string{
		nil, &e.Action, (*string)(&e.Outcome), (*string)(&e.Actor.Type), &e.Actor.ID, &e.Actor.Name, &e.Actor.OnBehalfOf,
		&e.Target.Type, &e.Target.ID, &e.Target.Name, &e.TenantID, &e.RequestID, &e.CorrelationID, &e.CausationID,
		&e.JobID, &e.TraceParent, &e.IPAddress, &e.UserAgent, &e.Reason, &e.Comment, nil, &e.Application, &e.Host,
		&e.Role, nil, nil, nil, nil, nil, nil, nil, nil,
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
