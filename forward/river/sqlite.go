package river

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/riverqueue/river/riverdriver/riversqlite"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/sqlitetext"
)

type sqlite struct{}

var _ dialect = sqlite{}

func (sqlite) name() hooks.Dialect           { return hooks.SQLite }
func (sqlite) driver(db *sql.DB) riverDriver { return riversqlite.New(db) }
func (sqlite) literal(text string) string    { return sqlitetext.Literal(text) }

func (sqlite) stale(keys []string) (all string) {
	for _, key := range keys {
		all += `, '$.` + workersKey + `."` + key + `"'`
	}
	return all
}

func (sqlite) found(context.Context, *sql.DB) (string, error) { return "", nil }

// elsewhere is never true: a place is an environment only.
func (sqlite) elsewhere(context.Context, *sql.DB) (string, error) { return "false", nil }

// diagnose has no roles to ask for.
func (sqlite) diagnose(ctx context.Context, t *tables, p purpose) error {
	var there bool
	err := t.db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+qualified(t.schema, "sqlite_schema")+" WHERE name = 'river_job')").Scan(&there)
	switch {
	case err != nil && t.schema != "" && strings.Contains(err.Error(), "no such table"):
		return fmt.Errorf("no database is attached as %s: on SQLite leave the schema empty", pgschema.Ident(t.schema))
	case err != nil || there || p.makes:
		return nil
	}
	return errors.New(noTables + ": run river.Migrate or `river migrate-up`")
}

func (sqlite) statements() *statements { return &statementsSQLite }

const heartbeatsSQLite = "json(q.metadata -> '$.{workers}'), (julianday('now') - 2440587.5) * 86400"

// placeSQLite is a job's place: see args.
const placeSQLite = "json_extract(args, CASE WHEN json_extract(args, '$.key') IS NULL THEN '$.place' ELSE '$.at' END)"

// What is no JSON is cancelled by a worker.
var statementsSQLite = statements{
	forwarder: "CASE WHEN typeof(args) <> 'text' OR json_valid(args) THEN json_extract(args, '$.forwarder') END",
	place:     "CASE WHEN typeof(args) <> 'text' OR json_valid(args) THEN " + placeSQLite + " END",
	adopt: "args = jsonb_set(args, CASE WHEN json_extract(args, '$.key') IS NULL THEN '$.place' ELSE '$.at' END, {here}), metadata = jsonb_remove(metadata, '$.cancel_attempted_at')," +
		" state = CASE WHEN state IN ('scheduled', 'retryable') THEN 'available' ELSE state END, scheduled_at = CASE WHEN state IN ('scheduled', 'retryable') THEN datetime('now', 'subsec') ELSE scheduled_at END",
	cancel: "state = CASE WHEN state = 'running' THEN state ELSE 'cancelled' END, finalized_at = CASE WHEN state = 'running' THEN NULL ELSE datetime('now', 'subsec') END," +
		" metadata = jsonb_set(CASE WHEN state = 'running' THEN jsonb_set(metadata, '$.cancel_attempted_at', strftime('%Y-%m-%dT%H:%M:%fZ', 'now')) ELSE metadata END, '$." + noteKey + "'," +
		" jsonb_object('left', (SELECT jsonb_group_array(value) FROM (SELECT value FROM json_each(coalesce(metadata -> '$." + noteKey + ".left', metadata -> '$.aftercommit_rest', args -> '$.events', '[]'))" +
		" UNION ALL SELECT value FROM json_each(coalesce(metadata -> '$." + noteKey + ".refused', '[]'))))," +
		" 'why', '" + whyCancelled + "' || " + placeSQLite + " || ', and this is ' || {here}))",
	states: `SELECT forwarder, coalesce(sum(events) FILTER (WHERE waits), 0), coalesce(sum(events) FILTER (WHERE state = 'retryable'), 0),
	coalesce(sum(events) FILTER (WHERE state IN ('cancelled', 'discarded')), 0), (julianday(min(created_at) FILTER (WHERE waits)) - 2440587.5) * 86400,
	coalesce(max({elsewhere}) FILTER (WHERE waits OR state = 'retryable'), 0)
FROM (SELECT json_extract(args, '$.forwarder') AS forwarder, ` + placeSQLite + ` AS place, state, created_at, state IN ('available', 'pending', 'running', 'scheduled') AS waits,
		json_array_length(coalesce(metadata -> '$.aftercommit_note.left', metadata -> '$.aftercommit_rest', args -> '$.events')) AS events
	FROM {table} WHERE kind = '{kind}' AND state <> 'completed' AND (typeof(args) <> 'text' OR json_valid(args)))
WHERE forwarder IS NOT NULL GROUP BY forwarder ORDER BY forwarder`,
	quick: "SELECT true",
	unworked: `SELECT DISTINCT CASE WHEN typeof(j.args) <> 'text' OR json_valid(j.args) THEN json_extract(j.args, '$.forwarder') END AS forwarder FROM {jobs} j
WHERE j.kind = '{kind}' AND j.state IN ('available', 'pending', 'retryable', 'scheduled') AND julianday(j.created_at) < julianday('now', '-15 minutes')
	AND NOT EXISTS (SELECT 1 FROM {queues} q WHERE q.name = j.queue AND julianday(q.updated_at) >= julianday('now', '-15 minutes')) ORDER BY forwarder`,
	heartbeats: heartbeatsSQLite,
	heartbeat: `INSERT INTO {table} AS q (name, metadata)
VALUES ('{queue}', jsonb_object('{workers}', jsonb_object('{key}', jsonb_object('process', {process}, 'place', {place}, 'at', (julianday('now') - 2440587.5) * 86400, 'stopped', jsonb('{stopped}')))))
ON CONFLICT (name) DO UPDATE SET updated_at = datetime('now', 'subsec'),
	metadata = jsonb_set(CASE WHEN json_type(q.metadata, '$.{workers}') = 'object' THEN jsonb_remove(q.metadata{remove})
		WHEN json_type(q.metadata) = 'object' THEN jsonb_set(q.metadata, '$.{workers}', jsonb('{}')) ELSE jsonb_object('{workers}', jsonb('{}')) END, '$.{workers}."{key}"', excluded.metadata -> '$.{workers}."{key}"')
RETURNING json(metadata -> '$.{workers}'), (julianday('now') - 2440587.5) * 86400`,
}
