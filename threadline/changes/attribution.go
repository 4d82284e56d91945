package changes

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// Attribution says who made the changes of a transaction.
type Attribution struct {
	State State
	// Contexts are what the transaction's events say: one, or as many as differ, in no order. There
	// are none unless State is Recorded. Events without an actor give one without.
	Contexts []Context
	// Events is how many they are. They were recorded from First to Last, by the journal's clock.
	Events      int
	First, Last time.Time
	// Origin is what the server knows of the session, whatever its events say.
	Origin Origin
}

// State is what is known of a transaction's events.
type State string

const (
	// Recorded means: the timeline has them, and Contexts says who.
	Recorded State = "recorded"
	// Pending means: the journal has them, and the timeline not yet.
	Pending State = "pending"
	// NoEvent means: there are none. The session was not wrapped, or recorded nothing: see Origin. Events that a
	// filter kept from the timeline, or that became dead letters, count as none once the journal is purged.
	NoEvent State = "none"
	// Unknown means: there may be some. The timeline or the journal is not in this database, or this role
	// may not read it, or the timeline has no transactions that are as old.
	Unknown State = "unknown"
)

// Context is who made a transaction, and what for.
type Context struct {
	Actor                                     hooks.Actor
	TenantID, RequestID, CorrelationID, JobID string
	IPAddress, UserAgent                      string
	Application, Host                         string
	// Role is that of the session when the event was written.
	Role string
}

// Origin is the session that made a transaction. It has no fields of one whose session
// has set out to hide them.
type Origin struct {
	// Role is the role that was set, or else the session's. Application is its application_name,
	// and Client its address: "" for a local connection.
	Role, Application, Client string
}

// Actors are those of the contexts: each once, and the zero Actor for events without one.
func (a *Attribution) Actors() (actors []hooks.Actor) {
	for i := range a.Contexts {
		if actor := a.Contexts[i].Actor; !slices.Contains(actors, actor) {
			actors = append(actors, actor)
		}
	}
	return actors
}

// String says for people who it was: "user:42", "user:42, job:7", or, where no event says it,
// "role shop, psql, from 10.0.0.7 (no event)".
func (a *Attribution) String() string {
	if a.State != Recorded {
		why := map[State]string{Pending: "its events are not yet delivered", NoEvent: "no event", Unknown: "its events are not known"}[a.State]
		return a.Origin.String() + " (" + why + ")"
	}
	var refs []string
	for _, actor := range a.Actors() {
		ref := "unattributed"
		switch {
		case actor.Type != "" && actor.ID != "":
			ref = string(actor.Type) + ":" + actor.ID
		case actor.Type != "":
			ref = string(actor.Type)
		}
		if actor.OnBehalfOf != "" {
			ref += " on behalf of " + actor.OnBehalfOf
		}
		refs = append(refs, ref)
	}
	if slices.Equal(refs, []string{"unattributed"}) {
		return a.Origin.String() + " (unattributed)"
	}
	return strings.Join(refs, ", ")
}

// String is the origin in words.
func (o Origin) String() string {
	var parts []string
	if o.Role != "" {
		parts = append(parts, "role "+o.Role)
	}
	if o.Application != "" {
		parts = append(parts, o.Application)
	}
	if o.Client != "" {
		parts = append(parts, "from "+o.Client)
	}
	if parts == nil {
		return "unknown session"
	}
	return strings.Join(parts, ", ")
}

// transaction is a transaction's key as the database prints it.
type transaction struct{ xid, started string }

func (c *Change) transaction() transaction {
	return transaction{strconv.FormatInt(c.XID, 10), c.TxStartedAt.UTC().Format(lenient.TimeForm)}
}

// attribute sets By of changes.
func (s *Store) attribute(ctx context.Context, list []Change) error {
	found := make(map[transaction]*Attribution)
	for i := range list {
		found[list[i].transaction()] = nil
	}
	if err := s.attributions(ctx, s.db, found); err != nil {
		return wrap("read who made the changes", err)
	}
	for i := range list {
		list[i].By = found[list[i].transaction()]
	}
	return nil
}

// attributions fills in what is known of transactions. It takes one snapshot, so that an event on its way
// from the journal to the timeline is seen in one of them.
func (s *Store) attributions(ctx context.Context, db querier, found map[transaction]*Attribution) error {
	if len(found) == 0 {
		return nil
	}
	timeline, journal, err := s.readable(ctx, db)
	if err != nil {
		return err
	}
	xids, starts := make([]string, 0, len(found)), make([]string, 0, len(found))
	for tx := range found {
		xids, starts = append(xids, tx.xid), append(starts, `"`+tx.started+`"`)
	}
	_, err = readAll(ctx, db, func(rows *sql.Rows) (_ struct{}, err error) {
		var r attributionRow
		if err = rows.Scan(r.places()...); err != nil {
			return struct{}{}, err
		}
		tx := transaction{r.xid, r.started}
		if found[tx] == nil {
			found[tx] = &Attribution{State: State(r.state), Origin: r.origin}
		}
		return struct{}{}, r.addTo(found[tx])
	}, s.attributionQuery(timeline, journal), "{"+strings.Join(xids, ",")+"}", "{"+strings.Join(starts, ",")+"}")
	return err
}

// readable reports whether this role may read the timeline's contexts, and the journal.
func (s *Store) readable(ctx context.Context, db querier) (timeline, journal bool, err error) {
	may := func(schema, table string) string {
		return "EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = " + pgtext.Literal(schema) + " AND c.relname = '" + table +
			"' AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT'))"
	}
	err = db.QueryRowContext(ctx, "SELECT "+may(s.schema, "audit_contexts")+", "+may(s.journal, "journal")).Scan(&timeline, &journal)
	return timeline, journal, err
}

// attributionQuery selects a row for each context of the transactions, and one for each that has none.
func (s *Store) attributionQuery(timeline, journal bool) string {
	state, contexts := "'unknown'", "(SELECT NULL AS tx_id LIMIT 0) c ON true"
	columns := strings.Repeat("NULL, ", len(contextColumns)+2) + "NULL"
	if timeline {
		columns = "c." + strings.Join(contextColumns, ", c.") + ", c.events, " + pgtext.Time("c.first_recorded_at") + ", " + pgtext.Time("c.last_recorded_at")
		contexts = s.at("audit_contexts") + " c ON c.tx_id = k.xid::pg_catalog.text::pg_catalog.int8 AND c.tx_started_at = k.started"
		state = "CASE WHEN c.tx_id IS NOT NULL THEN 'recorded'"
		if journal {
			// What is older than all that the timeline has may have been purged, or come before it.
			state += " WHEN EXISTS (SELECT FROM " + pgschema.Ident(s.journal) + ".journal j WHERE j.xid = k.xid AND j.tx_started_at = k.started AND j.events > 0) THEN 'pending'" +
				" WHEN k.xid::pg_catalog.text::pg_catalog.int8 > (SELECT pg_catalog.min(o.tx_id) FROM " + s.at("audit_contexts") + " o) THEN 'none'"
		}
		state += " ELSE 'unknown' END"
	}
	return "SELECT k.xid::pg_catalog.text, " + pgtext.Time("k.started") + ", " + state + `, coalesce(f.role, ''), coalesce(f.application, ''), coalesce(pg_catalog.host(f.client), ''), ` + columns + `
		FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text::pg_catalog.xid8[]), pg_catalog.unnest($2::pg_catalog.text::pg_catalog.timestamptz[])) k (xid, started)
		LEFT JOIN LATERAL (SELECT f.role, f.application, f.client FROM ` + s.at("audit_changes") + ` f WHERE f.xid = k.xid AND f.tx_started_at = k.started ORDER BY f.xid, f.lsn LIMIT 1) f ON true
		LEFT JOIN ` + contexts
}

var contextColumns = []string{
	"actor_type", "actor_id", "actor_name", "on_behalf_of", "tenant_id", "request_id", "correlation_id", "job_id",
	"ip_address", "user_agent", "application", "host", "role",
}

// attributionRow is a row of attributionQuery.
type attributionRow struct {
	xid, started, state string
	origin              Origin
	context             [13]sql.NullString // of contextColumns
	events              sql.NullInt64
	first, last         sql.NullString
}

func (r *attributionRow) places() []any {
	places := []any{&r.xid, &r.started, &r.state, &r.origin.Role, &r.origin.Application, &r.origin.Client}
	for i := range r.context {
		places = append(places, &r.context[i])
	}
	return append(places, &r.events, &r.first, &r.last)
}

// addTo adds the row's context: a delivery that has brought more events of a known one adds only their number.
func (r *attributionRow) addTo(a *Attribution) error {
	if !r.events.Valid {
		return nil
	}
	var c Context
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
