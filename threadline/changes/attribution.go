package changes

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// Attribution says who made the changes of a transaction.
type Attribution struct {
	State State
	// Reason says in words for people what State leaves open, "" for Recorded.
	Reason string
	// Contexts are what the transaction's events say: one, or as many as differ, in no order. There
	// are none unless State is Recorded, or Pending with some of its events delivered. Events without
	// an actor give one without.
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
	// Pending means: the journal has them, and the timeline not yet all of them.
	Pending State = "pending"
	// NoEvent means: there were none, whatever a filter has kept from the timeline or has become a
	// dead letter. The session was not wrapped, or recorded nothing: see Origin. The journal says so: it
	// was there before the transaction, has nothing of it, and what was purged from it was of other transactions.
	NoEvent State = "none"
	// Unknown means: there may have been some. Reason says why it is not known.
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

// Actors are those of the contexts: each once, with its name if one of them has it, and the zero Actor
// for events without one.
func (a *Attribution) Actors() (actors []hooks.Actor) {
	at := make(map[hooks.Actor]int)
	for i := range a.Contexts {
		actor := a.Contexts[i].Actor
		name := actor.Name
		actor.Name = ""
		n, known := at[actor]
		if !known {
			n = len(actors)
			at[actor] = n
			actors = append(actors, actor)
		}
		if actors[n].Name == "" {
			actors[n].Name = name
		}
	}
	return actors
}

// String says for people who it was: "user:42", "user:42, job:7", or, where no event says it,
// "role shop, psql, from 10.0.0.7 (no event)".
func (a *Attribution) String() string {
	if a.State != Recorded && len(a.Contexts) == 0 {
		why := a.Reason
		if why == "" {
			why = map[State]string{Pending: "its events are not yet delivered", NoEvent: "no event"}[a.State]
		}
		return a.Origin.String() + " (" + cmp.Or(why, "its events are not known") + ")"
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
	who := strings.Join(refs, ", ")
	if who == "unattributed" {
		who = a.Origin.String() + " (unattributed)"
	}
	if a.State != Recorded {
		who += " (" + a.Reason + ")"
	}
	return who
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

func newTransaction(xid, started string) transaction { return transaction{xid, started} }

func (r *row) transaction() transaction { return transaction{r.xid, r.started} }

func transactionOf(c *Change) transaction {
	return transaction{strconv.FormatInt(c.XID, 10), c.TxStartedAt.UTC().Format(lenient.TimeForm)}
}

// attribute sets By of changes.
func (s *Store) attribute(ctx context.Context, list []Change) error {
	all := make([]*Change, len(list))
	for i := range list {
		all[i] = &list[i]
	}
	return s.attributeBy(ctx, s.catalog.DB, all)
}

// attributeBy does it with a connection or a transaction.
func (s *Store) attributeBy(ctx context.Context, db catalog.Querier, list []*Change) error {
	if s, ok := s.sqlite(); ok {
		return s.attributeBy(ctx, db, list)
	}
	found := make(map[transaction]*Attribution)
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
func (s *Store) attributions(ctx context.Context, db catalog.Querier, found map[transaction]*Attribution) error {
	if len(found) == 0 {
		return nil
	}
	w, err := s.witnesses(ctx, db)
	if err != nil {
		return err
	}
	xids, starts := make([]string, 0, len(found)), make([]string, 0, len(found))
	for tx := range found {
		xids, starts = append(xids, tx.xid), append(starts, `"`+tx.started+`"`)
	}
	_, err = catalog.ReadAll(ctx, db, func(rows *sql.Rows) (_ struct{}, err error) {
		var r attributionRow
		if err = rows.Scan(r.places()...); err != nil {
			return struct{}{}, err
		}
		tx := newTransaction(r.xid, r.started)
		if found[tx] == nil {
			found[tx] = r.attribution()
		}
		return struct{}{}, r.addTo(found[tx])
	}, s.attributionQuery(w), "{"+strings.Join(xids, ",")+"}", "{"+strings.Join(starts, ",")+"}")
	return err
}

// attributionQuery selects a row for each context of the transactions, and one for each that has none.
func (s *Store) attributionQuery(w *witnesses) string {
	columns := strings.Repeat("NULL, ", len(contextColumns)+2) + "NULL"
	contexts := "(SELECT NULL AS tx_id LIMIT 0) c"
	if w.has("audit_contexts") {
		columns = "c." + strings.Join(contextColumns, ", c.") + ", c.events, " + pgtext.Time("c.first_recorded_at") + ", " + pgtext.Time("c.last_recorded_at")
		contexts = "LATERAL (" + s.contextsOf(w) + ") c"
	}
	return "SELECT k.xid::pg_catalog.text, " + pgtext.Time("k.started") + `, w.state, coalesce(f.role, ''), coalesce(f.application, ''), coalesce(pg_catalog.host(f.client), ''), ` + columns + `
		FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text::pg_catalog.xid8[]), pg_catalog.unnest($2::pg_catalog.text::pg_catalog.timestamptz[])) k (xid, started)
		LEFT JOIN LATERAL (SELECT c.role, c.application, c.client, c.system, c.table_id, c.captured_at FROM ` + s.at("audit_changes") + ` c WHERE ` + ofTransaction("k.xid", "k.started") + ` ORDER BY c.xid, c.lsn LIMIT 1) f ON true
		LEFT JOIN LATERAL (SELECT c.captured_at FROM ` + s.at("audit_changes") + ` c WHERE ` + ofTransaction("k.xid", "k.started") + ` ORDER BY c.xid DESC, c.lsn DESC LIMIT 1) l ON true
		CROSS JOIN LATERAL (SELECT ` + s.stateOf(w) + ` AS state) w
		LEFT JOIN ` + contexts + " ON true"
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

// attribution is what the row says of its transaction.
func (r *attributionRow) attribution() *Attribution {
	found, ok := findings[r.state]
	if !ok {
		found = findings["unread"]
	}
	return &Attribution{State: found.State, Reason: found.reason, Origin: r.origin}
}

// addTo adds the row's context: a delivery that has brought more events of a known one adds only their number.
func (r *attributionRow) addTo(a *Attribution) error {
	if !r.events.Valid {
		return nil
	}
	if r.state != "partly" {
		a.State, a.Reason = Recorded, ""
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
