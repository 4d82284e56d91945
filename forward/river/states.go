package river

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// States returns how all forwarders with jobs stand, whether anything works them or not.
// With River it is what relay.Store.States is with the relay: Behind and Oldest are of the
// events of jobs that wait or run; Retrying of those that River tries again after a failure
// of theirs, and Discarded of dead letters. Elsewhere says that some of the former wait for
// [Resume], because they were enqueued in another database; of another environment only
// the programs that work the jobs can know, and forward.Hub.Status has it there. The other
// fields are zero. schema is that of River's tables, as in [Migrate]; the role needs SELECT
// on river_job.
func States(ctx context.Context, db *sql.DB, dialect hooks.Dialect, schema string) (states []relay.State, err error) {
	if _, err = newDriver(dialect, db); err != nil {
		return nil, err
	}
	elsewhere := "false" // on SQLite a place is an environment only
	if dialect == hooks.Postgres {
		store, err := relay.New(dialect, nil)
		if err != nil {
			return nil, fmt.Errorf("river: how forwarders stand: %w", err)
		}
		here, err := store.Place(ctx, db)
		if err != nil {
			return nil, fmt.Errorf("river: how forwarders stand: %w", err)
		}
		elsewhere = "pg_catalog.split_part(place, ' ', 1) <> " + literal(dialect, here)
	}
	return statesOf(ctx, db, dialect, schema, elsewhere)
}

// statesIn is States, where Elsewhere is of any other place than here.
func statesIn(ctx context.Context, db *sql.DB, dialect hooks.Dialect, schema, here string) ([]relay.State, error) {
	return statesOf(ctx, db, dialect, schema, "place <> "+literal(dialect, here))
}

// statesOf returns the states, with a condition for a job that is Elsewhere.
func statesOf(ctx context.Context, db *sql.DB, dialect hooks.Dialect, schema, elsewhere string) (states []relay.State, err error) {
	defer explain(ctx, db, dialect, schema, toRead, &err)
	table, err := jobTable(ctx, db, dialect, schema)
	if err != nil {
		return nil, err
	}
	query := statesSQLite
	if dialect == hooks.Postgres {
		query = statesPostgres
	}
	rows, err := db.QueryContext(ctx, strings.NewReplacer("{table}", table, "{kind}", Kind, "{elsewhere}", elsewhere).Replace(query))
	if err != nil {
		return nil, fmt.Errorf("river: how forwarders stand: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var (
			st     relay.State
			oldest sql.NullFloat64
		)
		if err := rows.Scan(&st.Forwarder, &st.Behind, &st.Retrying, &st.Discarded, &oldest, &st.Elsewhere); err != nil {
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
	coalesce(pg_catalog.sum(events) FILTER (WHERE state IN ('cancelled', 'discarded')), 0)::pg_catalog.int8, pg_catalog.date_part('epoch', pg_catalog.min(created_at) FILTER (WHERE waits)),
	coalesce(pg_catalog.bool_or({elsewhere}) FILTER (WHERE waits OR state = 'retryable'), false)
FROM (SELECT pg_catalog.jsonb_extract_path_text(args, 'forwarder') AS forwarder, pg_catalog.jsonb_extract_path_text(args, 'place') AS place, state::pg_catalog.text AS state, created_at,
		state::pg_catalog.text IN ('available', 'pending', 'running', 'scheduled') AS waits,
		CASE WHEN pg_catalog.jsonb_typeof(left_events) = 'array' THEN pg_catalog.jsonb_array_length(left_events) ELSE 0 END AS events
	FROM (SELECT args, state, created_at, coalesce(pg_catalog.jsonb_extract_path(metadata, 'aftercommit_note', 'left'), pg_catalog.jsonb_extract_path(metadata, 'aftercommit_rest'), pg_catalog.jsonb_extract_path(args, 'events')) AS left_events
		FROM {table} WHERE kind = '{kind}' AND state::pg_catalog.text <> 'completed') jobs) counted
WHERE forwarder IS NOT NULL GROUP BY forwarder ORDER BY forwarder`
	statesSQLite = `SELECT forwarder, coalesce(sum(events) FILTER (WHERE waits), 0), coalesce(sum(events) FILTER (WHERE state = 'retryable'), 0),
	coalesce(sum(events) FILTER (WHERE state IN ('cancelled', 'discarded')), 0), (julianday(min(created_at) FILTER (WHERE waits)) - 2440587.5) * 86400,
	coalesce(max({elsewhere}) FILTER (WHERE waits OR state = 'retryable'), 0)
FROM (SELECT json_extract(args, '$.forwarder') AS forwarder, json_extract(args, '$.place') AS place, state, created_at, state IN ('available', 'pending', 'running', 'scheduled') AS waits,
		json_array_length(coalesce(metadata -> '$.aftercommit_note.left', metadata -> '$.aftercommit_rest', args -> '$.events')) AS events
	FROM {table} WHERE kind = '{kind}' AND state <> 'completed' AND (typeof(args) <> 'text' OR json_valid(args)))
WHERE forwarder IS NOT NULL GROUP BY forwarder ORDER BY forwarder`
)
