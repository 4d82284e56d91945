package reading

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// EventTables are the tables that say whether a transaction had events: those of them that are here.
type EventTables struct {
	// readable are those of the timeline that this role may read, with audit_captures.
	readable map[string]bool
	journals []*journalTables // in the order of Reader.Journals
	// complete says that the timeline has the contexts of all its events.
	complete bool
	// placed says that this role may ask which cluster this is.
	placed bool
	// others says that schemas that are not among Journals have a journal, too.
	others bool
	// jobs are River's tables, if it is the queue of forwarders.
	jobs []jobTable
	// copied says that the transactions were in another database, of which no journal here says anything.
	copied bool
}

// journalTables are the tables of one journal.
type journalTables struct {
	schema string
	// readable are those that this role may read.
	readable map[string]bool
	// hidden says that there are others.
	hidden bool
	// lists says that purges write down whose events they delete.
	lists bool
}

func (w *EventTables) has(table string) bool { return w.readable[table] }

func (j *journalTables) has(table string) bool { return j.readable[table] }

// at returns the qualified name of one of the tables.
func (j *journalTables) at(table string) string { return pgschema.Ident(j.schema) + "." + table }

// certain reports whether the tables are there without which it is never certain that there was no event.
func (w *EventTables) certain() bool {
	return w.placed && !w.others && w.has("audit_captures") && !slices.ContainsFunc(w.journals, func(j *journalTables) bool {
		return j.hidden || !j.has("journal") || !j.has("journal_purges") || !j.has("schema_versions")
	})
}

// EventTables looks up which of these tables are here.
func (s *Reader) EventTables(ctx context.Context, db catalog.Querier) (*EventTables, error) {
	w := &EventTables{readable: make(map[string]bool)}
	of := make(map[string]*journalTables)
	var names []string
	for _, schema := range s.Journals {
		j := &journalTables{schema: schema, readable: make(map[string]bool)}
		w.journals, names = append(w.journals, j), append(names, pgtext.Literal(schema))
		of[schema] = j
	}
	in := "(" + strings.Join(names, ", ") + ")"
	query := `SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text,
			pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT'),
			EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'transactions' AND NOT a.attisdropped),
			pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE'), ` + s.Catalog.WhoIndexed() + `
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND (n.nspname = ` + pgtext.Literal(s.Catalog.Schema) + ` AND c.relname IN ('audit_contexts', 'audit_actions', 'audit_captures', 'audit_eventless')
			OR n.nspname IN ` + in + ` AND c.relname IN ('journal', 'journal_purges', 'schema_versions', 'cursors', 'retries', 'audit_events', 'audit_events_before', 'purges'))`
	_, err := catalog.ReadAll(ctx, db, func(rows *sql.Rows) (_ struct{}, err error) {
		var schema, table string
		var readable, lists bool
		if err = rows.Scan(&schema, &table, &readable, &lists, &w.placed, &w.complete); err != nil {
			return struct{}{}, err
		}
		if strings.HasPrefix(table, "audit_") && !strings.HasPrefix(table, "audit_events") {
			w.readable[table] = readable
			return struct{}{}, nil
		}
		j := of[schema]
		j.lists = j.lists || lists
		if readable {
			j.readable[table] = true
		} else if table != "cursors" && table != "retries" {
			j.hidden = true
		}
		return struct{}{}, nil
	}, query)
	if err == nil {
		w.copied, err = s.Catalog.Copied(ctx, db)
	}
	if err != nil {
		return w, err
	}
	var jobs sql.NullString
	err = db.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname NOT IN `+in+`
		AND c.relkind IN ('r', 'p') AND c.relname IN ('journal', 'cursors', 'journal_purges', 'audit_events', 'forwarders', 'schema_versions') GROUP BY n.oid
		HAVING pg_catalog.array_agg(c.relname::pg_catalog.text) OPERATOR(pg_catalog.@>) '{journal,cursors,journal_purges}' OR pg_catalog.array_agg(c.relname::pg_catalog.text) OPERATOR(pg_catalog.@>) '{audit_events,forwarders,schema_versions}'), `+jobTables).Scan(&w.others, &jobs)
	if err == nil && jobs.Valid {
		err = json.Unmarshal([]byte(jobs.String), &w.jobs)
	}
	return w, err
}

// finding is what these tables say of a transaction.
type finding struct {
	change.State
	Reason string
}

// NotKnown begins the reasons of [change.Unknown].
const NotKnown = "its events are not known: "

// Findings are those of StateOf, by their words.
var Findings = map[string]finding{
	"recorded": {State: change.Recorded},
	"partly":   {change.Pending, "some of its events are not yet delivered"},
	"pending":  {change.Pending, "its events are not yet delivered"},
	"none":     {change.NoEvent, "no event"},
	"queued":   {change.Pending, "it has events, and whether a queue has yet to deliver them is not known: this role may not read river_job"},
	"left":     {change.Unknown, "it has events that the timeline did not get: a filter has left them out, or they became dead letters"},
	"journal":  {change.Unknown, "it has events, in a timeline that cannot be read here"},
	"purged":   {change.Unknown, "it had events, and the timeline has none of them: a filter has left them out, or they became dead letters"},
	"unread":   {change.Unknown, NotKnown + "the journal is not in this database, or this role may not read what it takes"},
	"journals": {change.Unknown, NotKnown + "another journal, in another schema of this database, may have some: name it in Options.OtherJournals"},
	"place":    {change.Unknown, NotKnown + "it was made in another database, of which this one is a copy"},
	"before":   {change.Unknown, NotKnown + "it is older than the journal"},
	"unlisted": {change.Unknown, NotKnown + "the journal was purged since, without a list of whose events they were"},
	"sent":     {change.Unknown, "it has events, and the timeline has none of them: they are not yet delivered, a filter has left them out, or they became dead letters"},
	"earlier":  {change.Unknown, NotKnown + "an earlier version of the program may have written some"},
}

// timelineForwarder is how forwarders to a timeline are called, unless a program wraps them in a type of its own.
const timelineForwarder = "threadline.Forwarder"

// delivers is a condition: a forwarder, by its name, delivers to this timeline, as far as it is there under its own name.
func (s *Reader) delivers(name string) string {
	if s.Forwarder != "" {
		return name + " = " + pgtext.Literal(s.Forwarder)
	}
	return "pg_catalog.starts_with(" + name + ", '" + timelineForwarder + "/')"
}

// cases are the branches of the CASE that StateOf returns.
type cases struct{ strings.Builder }

func (c *cases) when(condition, then string) {
	c.WriteString(" WHEN " + condition + " THEN '" + then + "'")
}

// idOf is the number of the transaction k.
const idOf = "k.xid::pg_catalog.text::pg_catalog.int8"

// StateOf is an expression for what is known of the events of the transaction k, whose first change
// is f: a word of Findings.
//
// That the timeline has none proves nothing: a filter may have left them out, or a forwarder without
// contexts, or one that was retired, may have been there at the time. The journals have all events that
// were committed, and a purge writes down whose events it deletes.
func (s *Reader) StateOf(w *EventTables) string {
	if w.copied {
		return s.stateOfCopy(w)
	}
	var c cases
	timeline, contexts := w.has("audit_contexts"), " FROM "+s.At("audit_contexts")+" c WHERE c.tx_id = "+idOf+" AND c.tx_started_at = k.started"
	for _, j := range w.journals {
		if timeline && j.settles() { // it may have come in several rows of the journal, and so in several batches
			settled, known := s.settled(w, j)
			c.when("(SELECT pg_catalog.sum(c.events)"+contexts+") < (SELECT pg_catalog.sum(j.events)"+j.ofTransaction()+") AND NOT ("+settled+" AND "+known+")", "partly")
		}
	}
	if timeline {
		c.when("EXISTS (SELECT"+contexts+")", "recorded")
	}
	for _, j := range w.journals {
		has := "EXISTS (SELECT" + j.ofTransaction() + ")"
		switch {
		case !j.has("journal"):
		case !timeline:
			c.when(has, "journal")
		case j.settles():
			settled, known := s.settled(w, j)
			c.when(settled+" AND "+known+" AND "+has, "left")
			c.when(settled+" AND "+has, "queued")
			fallthrough
		default:
			c.when(has, "pending")
		}
	}
	if !w.certain() {
		why := "unread"
		if w.others {
			why = "journals"
		}
		return "CASE" + c.String() + " WHEN true THEN '" + why + "' END"
	}
	for _, j := range w.journals {
		j.purged(&c)
	}
	// audit_captures says where its table was captured at the time. A session that hides itself hides its cluster, too.
	c.when("f.system <> (SELECT i.system_identifier FROM pg_catalog.pg_control_system() i) OR "+s.Catalog.Place()+
		" IS DISTINCT FROM (SELECT n.place FROM "+s.At("audit_captures")+" n WHERE n.table_id = f.table_id AND n.noted_at <= f.captured_at ORDER BY n.noted_at DESC LIMIT 1)", "place")
	for _, j := range w.journals {
		j.older(&c)
	}
	return "CASE" + c.String() + " ELSE 'none' END"
}

// settles reports whether the tables are there that say what is on its way.
func (j *journalTables) settles() bool {
	return j.has("journal") && j.has("cursors") && j.has("retries")
}

// ofTransaction selects the rows j that the journal has of the transaction k.
func (j *journalTables) ofTransaction() string {
	return " FROM " + j.at("journal") + " j WHERE j.xid = k.xid AND j.tx_started_at = k.started AND j.events > 0"
}

// settled is a condition: nothing of the transaction k is on its way from a journal to the timeline. The timeline's forwarder has passed
// it, and tries none again, and no job has any. Where none is there under its own name, any may be it. known is another one: no
// queue out of sight may have some.
func (s *Reader) settled(w *EventTables, j *journalTables) (settled, known string) {
	ours := s.delivers("u.name")
	relayed := "EXISTS (SELECT FROM " + j.at("cursors") + " u WHERE u.retired_at IS NULL AND " + ours + ")"
	active := " FROM " + j.at("cursors") + " u WHERE u.retired_at IS NULL AND (" + ours + " OR NOT " + relayed + ")"
	passed := "pg_catalog.pg_visible_in_snapshot(k.xid, u.done)"
	if w.placed { // a snapshot of another cluster's means nothing for what was made here
		passed += " AND (f.system IS DISTINCT FROM i.system_identifier OR pg_catalog.starts_with(u.place, pg_catalog.concat(i.system_identifier, '/')))"
		active = strings.Replace(active, " u WHERE", " u CROSS JOIN pg_catalog.pg_control_system() i WHERE", 1)
	}
	settled = "(SELECT coalesce(pg_catalog.bool_and(" + passed + "), true)" + active + ")" +
		" AND NOT EXISTS (SELECT FROM " + j.at("retries") + " r WHERE r.forwarder IN (SELECT u.name" + active + ") AND r.state = 'retrying'" +
		" AND r.key IN (SELECT j.key" + j.ofTransaction() + "))"
	known = "true"
	for i := range w.jobs {
		if t := &w.jobs[i]; t.Readable {
			settled += " AND NOT " + t.queued(j.ofTransaction(), relayed, s.delivers)
		} else {
			known = relayed
		}
	}
	return settled, known
}

// purged adds that a purge has deleted the transaction's events.
func (j *journalTables) purged(c *cases) {
	const list = "p.transactions"
	if j.lists {
		c.when("EXISTS (SELECT FROM "+j.at("journal_purges")+" p WHERE "+list+" IS NOT NULL AND p.purged_at > k.started AND pg_catalog.int8range("+list+"[1], "+list+"[pg_catalog.cardinality("+list+")], '[]') OPERATOR(pg_catalog.@>) "+idOf+" AND "+idOf+" = ANY ("+list+"))", "purged")
	}
}

// older adds what a transaction is too old for, so that it may have had events of which the journal knows nothing.
func (j *journalTables) older(c *cases) {
	c.when("(k.started > (SELECT v.migrated_at FROM "+j.at("schema_versions")+" v WHERE v.component = 'journal')) IS NOT TRUE", "before")
	without := ""
	if j.lists {
		without = " WHERE p.transactions IS NULL"
	}
	c.when("k.started < (SELECT pg_catalog.max(p.before) FROM "+j.at("journal_purges")+" p"+without+")", "unlisted")
	for _, table := range []string{"audit_events", "audit_events_before"} {
		if j.has(table) { // its rows are nearly in the order of seq
			c.when("k.started <= (SELECT pg_catalog.max(l.recorded_at) FROM (SELECT e.recorded_at FROM "+j.at(table)+" e ORDER BY e.seq DESC LIMIT 1000) l)", "earlier")
		}
	}
	if j.has("purges") {
		c.when("k.started < (SELECT pg_catalog.max(p.before) FROM "+j.at("purges")+" p)", "earlier")
	}
}

// looksForEvents reports whether the timeline may have events without contexts.
func (w *EventTables) looksForEvents() bool {
	return w.has("audit_contexts") && !w.complete && w.has("audit_actions")
}

// contextsOf selects the contexts of the transaction k. Where there are none, its events may have been
// recorded by an older function, without contexts: those that were recorded with its COMMIT are
// looked for, if that is soon after its last change.
func (s *Reader) contextsOf(w *EventTables) string {
	query := "SELECT " + strings.Join(contextColumns, ", ") + ", c.events, c.first_recorded_at, c.last_recorded_at FROM " + s.At("audit_contexts") + " c" +
		" WHERE c.tx_id = k.xid::pg_catalog.text::pg_catalog.int8 AND c.tx_started_at = k.started"
	if !w.looksForEvents() {
		return query
	}
	// A context says nothing of the correlation ID that an event has for want of another.
	columns := strings.Replace(strings.Join(contextColumns, ", a."), "a.correlation_id", "nullif(a.correlation_id, a.id::pg_catalog.text)", 1)
	return query + " UNION ALL SELECT a." + columns + ", 1, a.recorded_at, a.recorded_at FROM (SELECT * FROM " + s.At("audit_actions") + " a" +
		" WHERE w.state NOT IN ('recorded', 'none', 'partly') AND a.recorded_at >= l.captured_at AND a.recorded_at < l.captured_at + '5 seconds'::pg_catalog.interval ORDER BY a.recorded_at LIMIT 2000) a" +
		" WHERE a.tx_id = k.xid::pg_catalog.text::pg_catalog.int8 AND a.tx_started_at = k.started"
}
