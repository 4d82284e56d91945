package journal

import (
	"context"
	"database/sql"
	"strings"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/internal/nildb"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// EarlierByID is for package relay and the Hub. It returns those of the events ids that earlier
// versions wrote to their own table, in the order of writing. It finds nothing in the table
// journal. Jobs that such a version enqueued name events by ID. The entries have no Key;
// Ordinal orders them. On PostgreSQL it needs EXECUTE on the function entries. For an event of
// this version, use the view audit_events.
func (j *Journal) EarlierByID(ctx context.Context, db *sql.DB, ids []uuid.UUID) ([]Entry, error) {
	db = nildb.Replace(db)
	if len(ids) == 0 {
		return nil, nil
	}
	entries, err := j.Earlier(ctx, db, j.store.oldByID(ids))
	if j.Missing(err) || hooks.SQLState(err) == undefinedFunction {
		return nil, nil // no such program has been here, or what it wrote was dropped
	}
	return entries, j.store.explain(ctx, db, err, false)
}

// Earlier is for package relay and the Hub. It returns the entries that a query selects from the
// table that programs of earlier versions write; from is what follows FROM in it. Their
// Ordinal is the column seq, and they have no Key.
func (j *Journal) Earlier(ctx context.Context, q Querier, from string) ([]Entry, error) {
	columns, hex := j.store.oldColumns()
	in := oldScanner{row: lenient.Row{Hex: hex}}
	return readAll(ctx, q, "SELECT "+columns+" FROM "+from, in.scan)
}

func (p *postgres) oldColumns() (columns string, hex bool) {
	var b strings.Builder
	b.WriteString(`seq, xid::pg_catalog.text, ` + pgtext.Time("tx_started_at") + `, ` + pgtext.Time("recorded_at") + `,
	id, ` + pgtext.Time("occurred_at") + `, captured`)
	for _, column := range textColumns {
		if column == "metadata" {
			column += "::pg_catalog.text"
		}
		b.WriteString(", " + pgtext.HexAnywhere("coalesce("+column+", '')"))
	}
	return b.String(), true
}

func (p *postgres) oldByID(ids []uuid.UUID) string {
	return `"` + p.schema + `".entries('` + idArray(ids) + `'::pg_catalog.uuid[]) ORDER BY seq`
}

func (s *sqlite) oldColumns() (columns string, hex bool) {
	columns = "seq, tx_id, tx_started_at, recorded_at, id, occurred_at, captured"
	for _, column := range textColumns {
		if column == "role" { // which SQLite does not have
			column = "''"
		}
		columns += ", coalesce(" + column + ", '')"
	}
	return columns, false
}

func (s *sqlite) oldByID(ids []uuid.UUID) string {
	return "main." + s.prefix + "events WHERE id " + s.among(ids) + " ORDER BY seq"
}

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

// oldScanner scans entries whose columns are those of store.oldColumns.
type oldScanner struct {
	row   lenient.Row
	plain [len(plainColumns)]sql.RawBytes
	texts [len(textColumns)]sql.RawBytes
}

// scan returns the row that rows is at. What cannot be read of it is
// Entry.Unreadable, since the rows after it are to be read all the same.
func (s *oldScanner) scan(rows *sql.Rows) (Entry, error) {
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

func (s *oldScanner) readPlain(e *Entry) {
	r, columns := &s.row, &plainColumns
	e.Ordinal = int(r.Int(columns[0], s.plain[0]))
	e.Tx.ID = r.Int(columns[1], s.plain[1])
	e.Tx.StartedAt = r.Time(columns[2], s.plain[2])
	e.RecordedAt = r.Time(columns[3], s.plain[3])
	e.ID = r.ID(columns[4], s.plain[4])
	e.OccurredAt = r.Time(columns[5], s.plain[5])
	e.Captured = r.Bool(columns[6], s.plain[6])
}

func (s *oldScanner) readTexts(e *Entry) {
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
