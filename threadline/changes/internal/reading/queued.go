package reading

import (
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
)

// jobTable is River's table of jobs in a schema. Package forward/river inserts jobs there in the app's transaction, so that the
// database says which events are still to be delivered. An app may use another River beside that.
type jobTable struct {
	Schema   string
	Readable bool
}

// jobTables is an expression for all such tables in the database, as JSON.
const jobTables = `(SELECT pg_catalog.json_agg(pg_catalog.json_build_object('schema', n.nspname, 'readable', pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')))::pg_catalog.text
	FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND c.relname = 'river_job'
		AND (SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname IN ('args', 'kind', 'state') AND NOT a.attisdropped) = 3)`

// queued is the condition that a job waits to deliver events of a row j of the journal to the timeline. That is a job of the timeline's
// forwarder. If the row has none, any job of it counts, unless the relay delivers to the timeline.
func (t *jobTable) queued(journaled, relayed string, delivers func(name string) string) string {
	table := pgschema.Ident(t.Schema) + ".river_job"
	job := func(name, where string) string {
		return "EXISTS (SELECT FROM " + table + " " + name + " WHERE " + name + ".args OPERATOR(pg_catalog.@>) pg_catalog.jsonb_build_object('key', j.key::pg_catalog.text) AND " + name + ".kind = 'aftercommit_forward' AND " + where + ")"
	}
	ours := func(name string) string {
		return delivers("pg_catalog.jsonb_extract_path_text(" + name + ".args, 'forwarder')")
	}
	waits := "q.state::pg_catalog.text IN ('available', 'pending', 'retryable', 'running', 'scheduled') AND (" + ours("q") + " OR NOT (" + relayed + ") AND NOT " + job("o", ours("o")) + ")"
	return "EXISTS (SELECT" + journaled + " AND " + job("q", waits) + ")"
}
