package river

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/riverqueue/river/riverdriver/riverdatabasesql"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

type postgres struct{}

var _ dialect = postgres{}

func (postgres) name() hooks.Dialect           { return hooks.Postgres }
func (postgres) driver(db *sql.DB) riverDriver { return riverdatabasesql.New(db) }
func (postgres) literal(text string) string    { return pgtext.Literal(text) }
func (postgres) stale(keys []string) string    { return strings.Join(keys, ",") }

func (postgres) found(ctx context.Context, db *sql.DB) (schema string, err error) {
	err = db.QueryRowContext(ctx, "SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = pg_catalog.to_regclass('river_job')").Scan(&schema)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return schema, err
}

func (p postgres) elsewhere(ctx context.Context, db *sql.DB) (string, error) {
	store, err := relay.New(hooks.Postgres, nil)
	if err != nil {
		return "", err
	}
	here, err := store.Place(ctx, db)
	if err != nil {
		return "", err
	}
	return "pg_catalog.split_part(place, ' ', 1) <> " + p.literal(here), nil
}

func (postgres) diagnose(ctx context.Context, t *tables, p purpose) error {
	s, err := readSetup(ctx, t, p)
	if err != nil {
		return nil //nolint:nilerr // the cause is reported, without what would explain it
	}
	return s.problem(t.schema, p)
}

func (postgres) statements() *statements { return &statementsPostgres }

const heartbeatsPostgres = "pg_catalog.jsonb_extract_path(q.metadata, '{workers}')::pg_catalog.text, pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())"

// placePostgres is a job's place: see args.
const placePostgres = "pg_catalog.jsonb_extract_path_text(args, CASE WHEN pg_catalog.jsonb_extract_path_text(args, 'key') IS NULL THEN 'place' ELSE 'at' END)"

// The events of a job are those that its last attempt has left, or all of its args. What
// has no forwarder cannot be read, and a worker cancels it.
var statementsPostgres = statements{
	forwarder: "pg_catalog.jsonb_extract_path_text(args, 'forwarder')",
	place:     placePostgres,
	adopt: "args = pg_catalog.jsonb_set(args, CASE WHEN pg_catalog.jsonb_extract_path_text(args, 'key') IS NULL THEN '{place}' ELSE '{at}' END::pg_catalog.text[], pg_catalog.to_jsonb({here}::pg_catalog.text)), metadata = pg_catalog.jsonb_delete(metadata, 'cancel_attempted_at'::pg_catalog.text)," +
		" state = CASE WHEN state IN ('scheduled', 'retryable') THEN 'available' ELSE state END, scheduled_at = CASE WHEN state IN ('scheduled', 'retryable') THEN pg_catalog.now() ELSE scheduled_at END",
	cancel: "state = CASE WHEN state = 'running' THEN state ELSE 'cancelled' END, finalized_at = CASE WHEN state = 'running' THEN NULL ELSE pg_catalog.now() END," +
		" metadata = pg_catalog.jsonb_set(CASE WHEN state = 'running' THEN pg_catalog.jsonb_set(metadata, '{cancel_attempted_at}', pg_catalog.to_jsonb(pg_catalog.now())) ELSE metadata END, '{" + noteKey + "}'," +
		" pg_catalog.jsonb_build_object('left', pg_catalog.jsonb_concat(coalesce(pg_catalog.jsonb_extract_path(metadata, '" + noteKey + "', 'left'), pg_catalog.jsonb_extract_path(metadata, 'aftercommit_rest')," +
		" pg_catalog.jsonb_extract_path(args, 'events'), '[]'), coalesce(pg_catalog.jsonb_extract_path(metadata, '" + noteKey + "', 'refused'), '[]'))," +
		" 'why', pg_catalog.concat('" + whyCancelled + "', " + placePostgres + ", ', and this is ', {here}::pg_catalog.text)))",
	states: `SELECT forwarder, coalesce(pg_catalog.sum(events) FILTER (WHERE waits), 0)::pg_catalog.int8, coalesce(pg_catalog.sum(events) FILTER (WHERE state = 'retryable'), 0)::pg_catalog.int8,
	coalesce(pg_catalog.sum(events) FILTER (WHERE state IN ('cancelled', 'discarded')), 0)::pg_catalog.int8, pg_catalog.date_part('epoch', pg_catalog.min(created_at) FILTER (WHERE waits)),
	coalesce(pg_catalog.bool_or({elsewhere}) FILTER (WHERE waits OR state = 'retryable'), false)
FROM (SELECT pg_catalog.jsonb_extract_path_text(args, 'forwarder') AS forwarder, ` + placePostgres + ` AS place, state::pg_catalog.text AS state, created_at,
		state::pg_catalog.text IN ('available', 'pending', 'running', 'scheduled') AS waits,
		CASE WHEN pg_catalog.jsonb_typeof(left_events) = 'array' THEN pg_catalog.jsonb_array_length(left_events) ELSE 0 END AS events
	FROM (SELECT args, state, created_at, coalesce(pg_catalog.jsonb_extract_path(metadata, 'aftercommit_note', 'left'), pg_catalog.jsonb_extract_path(metadata, 'aftercommit_rest'), pg_catalog.jsonb_extract_path(args, 'events')) AS left_events
		FROM {table} WHERE kind = '{kind}' AND state OPERATOR(pg_catalog.=) ANY ('{available,cancelled,discarded,pending,retryable,running,scheduled}')) jobs) counted
WHERE forwarder IS NOT NULL GROUP BY forwarder ORDER BY forwarder`,
	quick: "SELECT pg_catalog.set_config('lock_timeout', '100', true) IS NOT NULL AND pg_catalog.set_config('statement_timeout', '1000', true) IS NOT NULL AND " +
		"coalesce(pg_catalog.has_table_privilege('{queues}'::pg_catalog.text, 'SELECT'), false)",
	unworked: `SELECT DISTINCT pg_catalog.jsonb_extract_path_text(j.args, 'forwarder') AS forwarder FROM {jobs} j
WHERE j.kind = '{kind}' AND j.state OPERATOR(pg_catalog.=) ANY ('{available,pending,retryable,scheduled}') AND j.created_at < pg_catalog.now() - '15 min'::pg_catalog.interval
	AND NOT EXISTS (SELECT 1 FROM {queues} q WHERE q.name = j.queue AND q.updated_at >= pg_catalog.now() - '15 min'::pg_catalog.interval) ORDER BY forwarder`,
	heartbeats: heartbeatsPostgres,
	heartbeat: `INSERT INTO {table} AS q (name, created_at, updated_at, metadata)
SELECT '{queue}', pg_catalog.now(), pg_catalog.now(), pg_catalog.jsonb_build_object('{workers}', pg_catalog.jsonb_build_object('{key}', n.note))
FROM (SELECT pg_catalog.jsonb_build_object('process', {process}::pg_catalog.text, 'place', {place}::pg_catalog.text, 'at', pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()), 'stopped', {stopped}) AS note) n
ON CONFLICT (name) DO UPDATE SET updated_at = EXCLUDED.updated_at, metadata = pg_catalog.jsonb_set(CASE WHEN pg_catalog.jsonb_typeof(q.metadata) = 'object' THEN q.metadata ELSE '{}' END, '{{workers}}', pg_catalog.jsonb_concat(
	pg_catalog.jsonb_delete(CASE WHEN pg_catalog.jsonb_typeof(pg_catalog.jsonb_extract_path(q.metadata, '{workers}')) = 'object' THEN pg_catalog.jsonb_extract_path(q.metadata, '{workers}') ELSE '{}' END, VARIADIC '{{remove}}'::pg_catalog.text[]), pg_catalog.jsonb_extract_path(EXCLUDED.metadata, '{workers}')))
RETURNING ` + heartbeatsPostgres,
}
