package river

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

var errOwn = errors.New("all of its jobs were enqueued here, so there is nothing to decide and nothing was changed: " +
	"a suspended forwarder goes on by itself once its sink accepts events; Retry tries dead letters once more")

// Resume decides about a forwarder's jobs that wait because they were enqueued in another
// database, of which this is a copy or a restored one, or in another environment. It
// returns how many waited. If there are no such jobs it is an error, and changes nothing.
// With River it is what relay.Store.Resume is with the relay.
//
// With replay they become this database's own, and are worked at once: the forwarder gets
// their events, some of them perhaps a second time. Dead letters become its own, too, for
// [Retry]. Without replay the jobs are cancelled, with a note of the events that are left and
// of both places. They are dead letters then, which a later Resume with replay, and Retry,
// still deliver.
//
// schema is that of River's tables, as in [Migrate]. environment must be that of the
// programs that work the jobs ([forward.Options]); under any other one Resume would take
// their own jobs for those of another place. So it is an error, and changes nothing, while
// a program with another environment works the forwarder's jobs here, or if the last one
// that did had another. Where the environment changes, stop such programs and start one
// with the new environment before. A program that died counts as running for a minute.
func Resume(ctx context.Context, db *sql.DB, dialect hooks.Dialect, schema, forwarder, environment string, replay bool) (jobs int, err error) {
	client, err := operate(dialect, db, schema)
	if err != nil {
		return 0, err
	}
	defer explain(ctx, db, dialect, schema, toDecide, &err)
	store, err := relay.New(dialect, &relay.Options{Environment: environment})
	if err != nil {
		return 0, fmt.Errorf("river: resume: %w", err)
	}
	place, err := store.Place(ctx, db)
	if err != nil {
		return 0, fmt.Errorf("river: resume: %w", err)
	}
	if err = mayResume(ctx, db, dialect, schema, forwarder, place); err != nil {
		return 0, fmt.Errorf("river: resume %s: %w", forwarder, err)
	}
	jobs, changed, err := decide(ctx, db, dialect, schema, forwarder, place, replay)
	if err == nil && changed == 0 {
		if err = mustKnow(ctx, client, db, dialect, schema, forwarder); err == nil {
			err = fmt.Errorf("river: resume %s: %w", forwarder, errOwn)
		}
	}
	return jobs, err
}

// decide changes a forwarder's jobs of other places, in one statement: River has no call
// that changes args, and its JobCancel would reach a later attempt of a job that is retried
// at once. A job that runs stays with its attempt; an earlier decision about it is replaced.
// changed also counts dead letters.
func decide(ctx context.Context, db *sql.DB, dialect hooks.Dialect, schema, forwarder, place string, replay bool) (waited, changed int, err error) {
	table, err := jobTable(ctx, db, dialect, schema)
	if err != nil {
		return 0, 0, err
	}
	q := decisionsSQLite
	if dialect == hooks.Postgres {
		q = decisionsPostgres
	}
	set, where, waits := q.adopt, "state <> 'completed'", "CASE WHEN finalized_at IS NULL THEN 1 ELSE 0 END"
	if !replay {
		set, where, waits = q.cancel, "finalized_at IS NULL", "1"
	}
	here := literal(dialect, place)
	rows, err := db.QueryContext(ctx, "UPDATE "+table+" SET "+strings.ReplaceAll(set, "{here}", here)+
		" WHERE kind = '"+Kind+"' AND queue = '"+QueueName(forwarder)+"' AND "+where+" AND "+q.place+" <> "+here+" RETURNING "+waits)
	if err != nil {
		return 0, 0, fmt.Errorf("river: resume %s: %w", forwarder, err)
	}
	defer rows.Close()
	for rows.Next() {
		var waits int
		if err := rows.Scan(&waits); err != nil {
			return 0, 0, fmt.Errorf("river: resume %s: %w", forwarder, err)
		}
		waited, changed = waited+waits, changed+1
	}
	if err := rows.Err(); err != nil {
		return 0, 0, fmt.Errorf("river: resume %s: %w", forwarder, err)
	}
	return waited, changed, nil
}

// decisions are expressions for decide. A cancelled job notes what its attempts have not
// delivered, in the form of a job that is refused: see package forward's memo.
type decisions struct{ place, adopt, cancel string }

const whyCancelled = "river.Resume without replay: the job was enqueued in "

var (
	decisionsPostgres = decisions{
		place: "pg_catalog.jsonb_extract_path_text(args, 'place')",
		adopt: "args = pg_catalog.jsonb_set(args, '{place}', pg_catalog.to_jsonb({here}::pg_catalog.text)), metadata = pg_catalog.jsonb_delete(metadata, 'cancel_attempted_at'::pg_catalog.text)," +
			" state = CASE WHEN state IN ('scheduled', 'retryable') THEN 'available' ELSE state END, scheduled_at = CASE WHEN state IN ('scheduled', 'retryable') THEN pg_catalog.now() ELSE scheduled_at END",
		cancel: "state = CASE WHEN state = 'running' THEN state ELSE 'cancelled' END, finalized_at = CASE WHEN state = 'running' THEN NULL ELSE pg_catalog.now() END," +
			" metadata = pg_catalog.jsonb_set(CASE WHEN state = 'running' THEN pg_catalog.jsonb_set(metadata, '{cancel_attempted_at}', pg_catalog.to_jsonb(pg_catalog.now())) ELSE metadata END, '{" + noteKey + "}'," +
			" pg_catalog.jsonb_build_object('left', pg_catalog.jsonb_concat(coalesce(pg_catalog.jsonb_extract_path(metadata, '" + noteKey + "', 'left'), pg_catalog.jsonb_extract_path(metadata, 'aftercommit_rest')," +
			" pg_catalog.jsonb_extract_path(args, 'events'), '[]'), coalesce(pg_catalog.jsonb_extract_path(metadata, '" + noteKey + "', 'refused'), '[]'))," +
			" 'why', pg_catalog.concat('" + whyCancelled + "', pg_catalog.jsonb_extract_path_text(args, 'place'), ', and this is ', {here}::pg_catalog.text)))",
	}
	// What is no JSON is cancelled by a worker.
	decisionsSQLite = decisions{
		place: "CASE WHEN typeof(args) <> 'text' OR json_valid(args) THEN json_extract(args, '$.place') END",
		adopt: "args = jsonb_set(args, '$.place', {here}), metadata = jsonb_remove(metadata, '$.cancel_attempted_at')," +
			" state = CASE WHEN state IN ('scheduled', 'retryable') THEN 'available' ELSE state END, scheduled_at = CASE WHEN state IN ('scheduled', 'retryable') THEN datetime('now', 'subsec') ELSE scheduled_at END",
		cancel: "state = CASE WHEN state = 'running' THEN state ELSE 'cancelled' END, finalized_at = CASE WHEN state = 'running' THEN NULL ELSE datetime('now', 'subsec') END," +
			" metadata = jsonb_set(CASE WHEN state = 'running' THEN jsonb_set(metadata, '$.cancel_attempted_at', strftime('%Y-%m-%dT%H:%M:%fZ', 'now')) ELSE metadata END, '$." + noteKey + "'," +
			" jsonb_object('left', (SELECT jsonb_group_array(value) FROM (SELECT value FROM json_each(coalesce(metadata -> '$." + noteKey + ".left', metadata -> '$.aftercommit_rest', args -> '$.events', '[]'))" +
			" UNION ALL SELECT value FROM json_each(coalesce(metadata -> '$." + noteKey + ".refused', '[]'))))," +
			" 'why', '" + whyCancelled + "' || json_extract(args, '$.place') || ', and this is ' || {here}))",
	}
)
