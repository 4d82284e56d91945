package changes

import (
	"context"
	"database/sql"
	"encoding/json"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// witnesses are the tables that say whether a transaction had events: those of them that are here.
type witnesses struct {
	// readable are those that this role may read.
	readable map[string]bool
	// hidden says that there are others.
	hidden bool
	// lists says that purges write down whose events they delete.
	lists bool
	// placed says that this role may ask which cluster this is.
	placed bool
	// others says that other schemas have a journal, too.
	others bool
	// jobs are River's tables, if it is the queue of forwarders.
	jobs []jobTable
}

func (w *witnesses) has(table string) bool { return w.readable[table] }

// certain reports whether the tables are there without which it is never certain that there was no event.
func (w *witnesses) certain() bool {
	return w.placed && !w.hidden && !w.others && w.has("journal") && w.has("journal_purges") && w.has("schema_versions") && w.has("audit_captures")
}

// witnesses asks which of these tables are here.
func (s *Store) witnesses(ctx context.Context, db querier) (*witnesses, error) {
	w := &witnesses{readable: make(map[string]bool)}
	query := `SELECT c.relname::pg_catalog.text,
			pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT'),
			EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'transactions' AND NOT a.attisdropped),
			pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND (n.nspname = ` + pgtext.Literal(s.schema) + ` AND c.relname IN ('audit_contexts', 'audit_actions', 'audit_captures')
			OR n.nspname = ` + pgtext.Literal(s.journal) + ` AND c.relname IN ('journal', 'journal_purges', 'schema_versions', 'cursors', 'retries', 'audit_events', 'audit_events_before', 'purges'))`
	_, err := readAll(ctx, db, func(rows *sql.Rows) (_ struct{}, err error) {
		var table string
		var readable, lists bool
		if err = rows.Scan(&table, &readable, &lists, &w.placed); err != nil {
			return struct{}{}, err
		}
		w.lists = w.lists || lists
		if readable {
			w.readable[table] = true
		} else if table != "audit_contexts" && table != "audit_actions" && table != "cursors" && table != "retries" {
			w.hidden = true
		}
		return struct{}{}, nil
	}, query)
	if err != nil {
		return w, err
	}
	var jobs sql.NullString
	err = db.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname <> `+pgtext.Literal(s.journal)+`
		AND c.relkind IN ('r', 'p') AND c.relname IN ('journal', 'cursors', 'journal_purges', 'audit_events', 'forwarders', 'schema_versions') GROUP BY n.oid
		HAVING pg_catalog.array_agg(c.relname::pg_catalog.text) @> '{journal,cursors,journal_purges}' OR pg_catalog.array_agg(c.relname::pg_catalog.text) @> '{audit_events,forwarders,schema_versions}'), `+jobTables).Scan(&w.others, &jobs)
	if err == nil && jobs.Valid {
		err = json.Unmarshal([]byte(jobs.String), &w.jobs)
	}
	return w, err
}

// finding is what the witnesses say of a transaction.
type finding struct {
	State
	reason string
}

const notKnown = "its events are not known: "

// findings are those of stateOf.
var findings = map[string]finding{
	"recorded": {State: Recorded},
	"partly":   {Pending, "some of its events are not yet delivered"},
	"pending":  {Pending, "its events are not yet delivered"},
	"none":     {NoEvent, "no event"},
	"queued":   {Pending, "it has events, and whether a queue has yet to deliver them is not known: this role may not read river_job"},
	"left":     {Unknown, "it has events that the timeline did not get: a filter has left them out, or they became dead letters"},
	"journal":  {Unknown, "it has events, in a timeline that cannot be read here"},
	"purged":   {Unknown, "it had events, and the timeline has none of them: a filter has left them out, or they became dead letters"},
	"unread":   {Unknown, notKnown + "the journal is not in this database, or this role may not read what it takes"},
	"journals": {Unknown, notKnown + "another journal, in another schema of this database, may have some"},
	"place":    {Unknown, notKnown + "it was made in another database, of which this one is a copy"},
	"before":   {Unknown, notKnown + "it is older than the journal"},
	"unlisted": {Unknown, notKnown + "the journal was purged since, without a list of whose events they were"},
	"earlier":  {Unknown, notKnown + "an earlier version of the program may have written some"},
}

// timelineForwarder is how forwarders to a timeline are called, unless a program wraps them in a type of its own.
const timelineForwarder = "threadline.Forwarder"

// stateOf is an expression for what is known of the events of the transaction k, whose first change
// is f: a word of findings.
//
// That the timeline has none proves nothing: a filter may have left them out, or a forwarder without
// contexts, or one that was retired, may have been there at the time. The journal has all events that
// were committed, and a purge writes down whose events it deletes.
func (s *Store) stateOf(w *witnesses) string {
	var b strings.Builder
	when := func(condition, then string) { b.WriteString(" WHEN " + condition + " THEN '" + then + "'") }
	in := func(table string) string { return pgschema.Ident(s.journal) + "." + table }
	const id = "k.xid::pg_catalog.text::pg_catalog.int8"
	timeline, settles := w.has("audit_contexts"), w.has("journal") && w.has("cursors") && w.has("retries")
	journaled := " FROM " + in("journal") + " j WHERE j.xid = k.xid AND j.tx_started_at = k.started AND j.events > 0"
	told := " FROM " + s.at("audit_contexts") + " c WHERE c.tx_id = " + id + " AND c.tx_started_at = k.started"
	// The timeline's forwarder has passed them, and tries none again. Where none is there under its own name, any may be it.
	const ours = "pg_catalog.starts_with(u.name, '" + timelineForwarder + "/')"
	active := " FROM " + in("cursors") + " u WHERE u.retired_at IS NULL AND (" + ours + " OR NOT EXISTS (SELECT FROM " + in("cursors") + " u WHERE u.retired_at IS NULL AND " + ours + "))"
	passed := "pg_catalog.pg_visible_in_snapshot(k.xid, u.done)"
	if w.placed { // a snapshot of another cluster's means nothing for what was made here
		passed += " AND (f.system IS DISTINCT FROM i.system_identifier OR pg_catalog.starts_with(u.place, pg_catalog.concat(i.system_identifier, '/')))"
		active = strings.Replace(active, " u WHERE", " u CROSS JOIN pg_catalog.pg_control_system() i WHERE", 1)
	}
	settled := "(SELECT coalesce(pg_catalog.bool_and(" + passed + "), true)" + active + ")" +
		" AND NOT EXISTS (SELECT FROM " + in("retries") + " r WHERE r.forwarder IN (SELECT u.name" + active + ") AND r.state = 'retrying'" +
		" AND r.key IN (SELECT j.key" + journaled + "))"
	relayed := "EXISTS (SELECT FROM " + in("cursors") + " u WHERE u.retired_at IS NULL AND " + ours + ")"
	hidden := ""
	for i := range w.jobs {
		if t := &w.jobs[i]; t.Readable {
			settled += " AND NOT " + t.queued(journaled, relayed)
		} else {
			hidden = " AND " + relayed
		}
	}
	if timeline {
		if settles { // it may have come in several rows of the journal, and so in several batches
			when("(SELECT pg_catalog.sum(c.events)"+told+") < (SELECT pg_catalog.sum(j.events)"+journaled+") AND NOT ("+settled+")", "partly")
		}
		when("EXISTS (SELECT"+told+")", "recorded")
	}
	if w.has("journal") {
		has := "EXISTS (SELECT" + journaled + ")"
		switch {
		case !timeline:
			when(has, "journal")
		case settles:
			when(settled+hidden+" AND "+has, "left")
			if hidden != "" {
				when(settled+" AND "+has, "queued")
			}
			fallthrough
		default:
			when(has, "pending")
		}
	}
	if !w.certain() {
		why := "unread"
		if w.others {
			why = "journals"
		}
		return "CASE" + b.String() + " WHEN true THEN '" + why + "' END"
	}
	// The notes of captures say where its table was captured at the time. A session that hides itself hides its cluster, too.
	when("f.system <> (SELECT i.system_identifier FROM pg_catalog.pg_control_system() i) OR "+s.place()+
		" IS DISTINCT FROM (SELECT n.place FROM "+s.at("audit_captures")+" n WHERE n.table_id = f.table_id AND n.noted_at <= f.captured_at ORDER BY n.noted_at DESC LIMIT 1)", "place")
	when("(k.started > (SELECT v.migrated_at FROM "+in("schema_versions")+" v WHERE v.component = 'journal')) IS NOT TRUE", "before")
	without := ""
	if w.lists {
		const list = "p.transactions"
		when("EXISTS (SELECT FROM "+in("journal_purges")+" p WHERE "+list+" IS NOT NULL AND p.purged_at > k.started AND pg_catalog.int8range("+list+"[1], "+list+"[pg_catalog.cardinality("+list+")], '[]') @> "+id+" AND "+id+" = ANY ("+list+"))", "purged")
		without = " WHERE " + list + " IS NULL"
	}
	when("k.started < (SELECT pg_catalog.max(p.before) FROM "+in("journal_purges")+" p"+without+")", "unlisted")
	for _, table := range []string{"audit_events", "audit_events_before"} {
		if w.has(table) { // its rows are nearly in the order of seq
			when("k.started <= (SELECT pg_catalog.max(l.recorded_at) FROM (SELECT e.recorded_at FROM "+in(table)+" e ORDER BY e.seq DESC LIMIT 1000) l)", "earlier")
		}
	}
	if w.has("purges") {
		when("k.started < (SELECT pg_catalog.max(p.before) FROM "+in("purges")+" p)", "earlier")
	}
	return "CASE" + b.String() + " ELSE 'none' END"
}

// contextsOf selects the contexts of the transaction k. Where there are none, its events may have been
// recorded by an older function, without contexts: those that were recorded with its COMMIT are
// looked for, if that is soon after its last change.
func (s *Store) contextsOf(w *witnesses) string {
	query := "SELECT " + strings.Join(contextColumns, ", ") + ", c.events, c.first_recorded_at, c.last_recorded_at FROM " + s.at("audit_contexts") + " c" +
		" WHERE c.tx_id = k.xid::pg_catalog.text::pg_catalog.int8 AND c.tx_started_at = k.started"
	if !w.has("audit_actions") {
		return query
	}
	// A context says nothing of the correlation ID that an event has for want of another.
	columns := strings.Replace(strings.Join(contextColumns, ", a."), "a.correlation_id", "nullif(a.correlation_id, a.id::pg_catalog.text)", 1)
	return query + " UNION ALL SELECT a." + columns + ", 1, a.recorded_at, a.recorded_at FROM (SELECT * FROM " + s.at("audit_actions") + " a" +
		" WHERE w.state NOT IN ('recorded', 'none', 'partly') AND a.recorded_at >= l.captured_at AND a.recorded_at < l.captured_at + '5 seconds'::pg_catalog.interval ORDER BY a.recorded_at LIMIT 2000) a" +
		" WHERE a.tx_id = k.xid::pg_catalog.text::pg_catalog.int8 AND a.tx_started_at = k.started"
}
