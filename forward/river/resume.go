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

var errOwn = errors.New("no job waits because it was enqueued elsewhere, so there is nothing to decide and nothing was changed: " +
	"a suspended forwarder goes on by itself once its sink accepts events; Retry tries dead letters once more, those of another place once Resume with replay has made them this one's")

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
// Programs of an earlier version than this function's check cannot be seen: stop them before.
func Resume(ctx context.Context, db *sql.DB, dialect hooks.Dialect, schema, forwarder, environment string, replay bool) (jobs int, err error) {
	t, err := tablesOf(db, dialect, schema)
	if err != nil {
		return 0, err
	}
	client, err := t.client()
	if err != nil {
		return 0, err
	}
	defer t.explain(ctx, toDecide, &err)
	store, err := relay.New(dialect, &relay.Options{Environment: environment})
	if err != nil {
		return 0, fmt.Errorf("river: resume: %w", err)
	}
	place, err := store.Place(ctx, db)
	if err != nil {
		return 0, fmt.Errorf("river: resume: %w", err)
	}
	if err = t.mayResume(ctx, forwarder, place); err != nil {
		return 0, fmt.Errorf("river: resume %s: %w", forwarder, err)
	}
	jobs, changed, err := t.decide(ctx, forwarder, place, replay)
	if err == nil && changed == 0 {
		if err = t.mustKnow(ctx, client, forwarder); err == nil {
			err = fmt.Errorf("river: resume %s: %w", forwarder, errOwn)
		}
	}
	return jobs, err
}

// decide changes a forwarder's jobs of other places, in one statement: River has no call
// that changes args, and its JobCancel would reach a later attempt of a job that is retried
// at once. A job that runs stays with its attempt; an earlier decision about it is replaced.
// changed also counts dead letters.
func (t *tables) decide(ctx context.Context, forwarder, place string, replay bool) (waited, changed int, err error) {
	table, err := t.name(ctx, "river_job")
	if err != nil {
		return 0, 0, err
	}
	q := t.dialect.statements()
	set, where, waits := q.adopt, "state <> 'completed'", "CASE WHEN finalized_at IS NULL THEN 1 ELSE 0 END"
	if !replay {
		set, where, waits = q.cancel, "finalized_at IS NULL", "1"
	}
	here := t.dialect.literal(place)
	rows, err := t.db.QueryContext(ctx, "UPDATE "+table+" SET "+strings.ReplaceAll(set, "{here}", here)+
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

const whyCancelled = "river.Resume without replay: the job was enqueued in "
