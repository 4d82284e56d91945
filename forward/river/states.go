package river

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// States returns how all forwarders with jobs stand, whether anything works them or not.
// With River it is what relay.Store.States is with the relay: Behind and Oldest are of the
// events of jobs that wait or run; Retrying of those that River tries again after a failure
// of theirs, and Discarded of dead letters. The other fields are zero. schema is that of
// River's tables, as in [Migrate]; the role needs SELECT on river_job.
func States(ctx context.Context, db *sql.DB, dialect hooks.Dialect, schema string) (states []relay.State, err error) {
	if _, err = newDriver(dialect, db); err != nil {
		return nil, err
	}
	defer explain(ctx, db, dialect, schema, toRead, &err)
	table, err := jobTable(ctx, db, dialect, schema)
	if err != nil {
		return nil, err
	}
	query := statesSQLite
	if dialect == hooks.Postgres {
		query = statesPostgres
	}
	rows, err := db.QueryContext(ctx, fmt.Sprintf(query, table, Kind))
	if err != nil {
		return nil, fmt.Errorf("river: how forwarders stand: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var (
			st     relay.State
			oldest sql.NullFloat64
		)
		if err := rows.Scan(&st.Forwarder, &st.Behind, &st.Retrying, &st.Discarded, &oldest); err != nil {
			return nil, fmt.Errorf("river: how forwarders stand: %w", err)
		}
		if oldest.Valid {
			st.Oldest = time.UnixMilli(int64(oldest.Float64 * 1000)).UTC()
		}
		states = append(states, st)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("river: how forwarders stand: %w", err)
	}
	return states, nil
}

// The events of a job are those that its last attempt has left, or all of its args. What
// has no forwarder cannot be read, and a worker cancels it.
const (
	statesPostgres = `SELECT forwarder, coalesce(pg_catalog.sum(events) FILTER (WHERE waits), 0)::pg_catalog.int8, coalesce(pg_catalog.sum(events) FILTER (WHERE state = 'retryable'), 0)::pg_catalog.int8,
	coalesce(pg_catalog.sum(events) FILTER (WHERE state IN ('cancelled', 'discarded')), 0)::pg_catalog.int8, pg_catalog.date_part('epoch', pg_catalog.min(created_at) FILTER (WHERE waits))
FROM (SELECT pg_catalog.jsonb_extract_path_text(args, 'forwarder') AS forwarder, state::pg_catalog.text AS state, created_at,
		state::pg_catalog.text IN ('available', 'pending', 'running', 'scheduled') AS waits,
		CASE WHEN pg_catalog.jsonb_typeof(left_events) = 'array' THEN pg_catalog.jsonb_array_length(left_events) ELSE 0 END AS events
	FROM (SELECT args, state, created_at, coalesce(pg_catalog.jsonb_extract_path(metadata, 'aftercommit_note', 'left'), pg_catalog.jsonb_extract_path(metadata, 'aftercommit_rest'), pg_catalog.jsonb_extract_path(args, 'events')) AS left_events
		FROM %s WHERE kind = '%s' AND state::pg_catalog.text <> 'completed') jobs) counted
WHERE forwarder IS NOT NULL GROUP BY forwarder ORDER BY forwarder`
	statesSQLite = `SELECT forwarder, coalesce(sum(events) FILTER (WHERE waits), 0), coalesce(sum(events) FILTER (WHERE state = 'retryable'), 0),
	coalesce(sum(events) FILTER (WHERE state IN ('cancelled', 'discarded')), 0), (julianday(min(created_at) FILTER (WHERE waits)) - 2440587.5) * 86400
FROM (SELECT json_extract(args, '$.forwarder') AS forwarder, state, created_at, state IN ('available', 'pending', 'running', 'scheduled') AS waits,
		json_array_length(coalesce(metadata -> '$.aftercommit_note.left', metadata -> '$.aftercommit_rest', args -> '$.events')) AS events
	FROM %s WHERE kind = '%s' AND state <> 'completed' AND (typeof(args) <> 'text' OR json_valid(args)))
WHERE forwarder IS NOT NULL GROUP BY forwarder ORDER BY forwarder`
)
