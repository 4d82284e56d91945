package reading

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// Transaction is a transaction's key as the database prints it.
type Transaction struct{ XID, Started string }

// NewTransaction is the key of a transaction, as the database prints it.
func NewTransaction(xid, started string) Transaction { return Transaction{xid, started} }

func transactionOf(c *change.Change) Transaction {
	return Transaction{strconv.FormatInt(c.XID, 10), c.TxStartedAt.UTC().Format(lenient.TimeForm)}
}

// Attribute sets By of changes, which it reads with a connection or a transaction.
func (s *Reader) Attribute(ctx context.Context, db catalog.Querier, list []change.Change) error {
	all := make([]*change.Change, len(list))
	for i := range list {
		all[i] = &list[i]
	}
	return s.AttributeBy(ctx, db, all)
}

// AttributeBy is [Reader.Attribute] for changes that stand in several places.
func (s *Reader) AttributeBy(ctx context.Context, db catalog.Querier, list []*change.Change) error {
	if s, ok := s.OnSQLite(); ok {
		return s.AttributeBy(ctx, db, list)
	}
	found := make(map[Transaction]*change.Attribution)
	for _, c := range list {
		found[transactionOf(c)] = nil
	}
	if err := s.attributions(ctx, db, found); err != nil {
		return catalog.Wrap("read who made the changes", err)
	}
	for _, c := range list {
		c.By = found[transactionOf(c)]
	}
	return nil
}

// attributions fills in what is known of transactions. It takes one snapshot, so that an event on its way
// from the journal to the timeline is seen in one of them.
func (s *Reader) attributions(ctx context.Context, db catalog.Querier, found map[Transaction]*change.Attribution) error {
	if len(found) == 0 {
		return nil
	}
	w, err := s.EventTables(ctx, db)
	if err != nil {
		return err
	}
	xids, starts := make([]string, 0, len(found)), make([]string, 0, len(found))
	for tx := range found {
		xids, starts = append(xids, tx.XID), append(starts, `"`+tx.Started+`"`)
	}
	_, err = catalog.ReadAll(ctx, db, func(rows *sql.Rows) (_ struct{}, err error) {
		var r attributionRow
		if err = rows.Scan(r.destinations()...); err != nil {
			return struct{}{}, err
		}
		tx := NewTransaction(r.xid, r.started)
		if found[tx] == nil {
			found[tx] = r.attribution()
		}
		return struct{}{}, r.addTo(found[tx])
	}, s.attributionQuery(w), "{"+strings.Join(xids, ",")+"}", "{"+strings.Join(starts, ",")+"}")
	return err
}

// attributionQuery selects a row for each context of the transactions, and one for each that has none.
func (s *Reader) attributionQuery(w *EventTables) string {
	columns := strings.Repeat("NULL, ", len(contextColumns)+2) + "NULL"
	contexts := "(SELECT NULL AS tx_id LIMIT 0) c"
	if w.has("audit_contexts") {
		columns = "c." + strings.Join(contextColumns, ", c.") + ", c.events, " + pgtext.Time("c.first_recorded_at") + ", " + pgtext.Time("c.last_recorded_at")
		contexts = "LATERAL (" + s.contextsOf(w) + ") c"
	}
	last := "" // change of the transaction, of which only older events need the time
	if w.looksForEvents() {
		last = "LEFT JOIN LATERAL (SELECT c.captured_at FROM " + s.At("audit_changes") + " c WHERE " + OfTransaction("k.xid", "k.started") + " ORDER BY c.xid DESC, c.lsn DESC LIMIT 1) l ON true"
	}
	return "SELECT k.xid::pg_catalog.text, " + pgtext.Time("k.started") + `, w.state, coalesce(f.role, ''), coalesce(f.application, ''), coalesce(pg_catalog.host(f.client), ''), ` + columns + `
		FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text::pg_catalog.xid8[]), pg_catalog.unnest($2::pg_catalog.text::pg_catalog.timestamptz[])) k (xid, started)
		LEFT JOIN LATERAL (SELECT c.role, c.application, c.client, c.system, c.table_id, c.captured_at FROM ` + s.At("audit_changes") + ` c WHERE ` + OfTransaction("k.xid", "k.started") + ` ORDER BY c.xid, c.lsn LIMIT 1) f ON true
		` + last + `
		CROSS JOIN LATERAL (SELECT ` + s.StateOf(w) + ` AS state) w
		LEFT JOIN ` + contexts + " ON true"
}

var contextColumns = []string{
	"actor_type", "actor_id", "actor_name", "on_behalf_of", "tenant_id", "request_id", "correlation_id", "job_id",
	"ip_address", "user_agent", "application", "host", "role",
}

// attributionRow is a row of attributionQuery.
type attributionRow struct {
	xid, started, state string
	origin              change.Origin
	context             [13]sql.NullString // of contextColumns
	events              sql.NullInt64
	first, last         sql.NullString
}

// destinations are where a row of attributionQuery is scanned to.
func (r *attributionRow) destinations() []any {
	destinations := []any{&r.xid, &r.started, &r.state, &r.origin.Role, &r.origin.Application, &r.origin.Client}
	for i := range r.context {
		destinations = append(destinations, &r.context[i])
	}
	return append(destinations, &r.events, &r.first, &r.last)
}

// attribution is what the row says of its transaction.
func (r *attributionRow) attribution() *change.Attribution {
	found, ok := Findings[r.state]
	if !ok {
		found = Findings["unread"]
	}
	return &change.Attribution{State: found.State, Reason: found.Reason, Origin: r.origin}
}

// addTo adds the row's context: a delivery that has brought more events of a known one adds only their number.
func (r *attributionRow) addTo(a *change.Attribution) error {
	if !r.events.Valid {
		return nil
	}
	if r.state != "partly" {
		a.State, a.Reason = change.Recorded, ""
	}
	var c change.Context
	for i, field := range []*string{
		(*string)(&c.Actor.Type), &c.Actor.ID, &c.Actor.Name, &c.Actor.OnBehalfOf, &c.TenantID, &c.RequestID, &c.CorrelationID, &c.JobID,
		&c.IPAddress, &c.UserAgent, &c.Application, &c.Host, &c.Role,
	} {
		*field = r.context[i].String
	}
	if !slices.Contains(a.Contexts, c) {
		a.Contexts = append(a.Contexts, c)
	}
	a.Events += int(r.events.Int64)
	first, err := time.Parse(lenient.TimeForm, r.first.String)
	if err != nil {
		return err
	}
	last, err := time.Parse(lenient.TimeForm, r.last.String)
	if err != nil {
		return err
	}
	if a.First.IsZero() || first.Before(a.First) {
		a.First = first
	}
	if last.After(a.Last) {
		a.Last = last
	}
	return nil
}
