package river

import (
	"context"
	"database/sql"
	"fmt"

	riverqueue "github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Retry makes a forwarder's dead letters, the jobs that are cancelled or discarded,
// available to the workers once more, and returns how many there are. With River it is
// what relay.Store.Replay is with the relay. schema is that of River's tables, as in
// [Migrate]. Each job delivers the events that the forwarder has not accepted; if they
// fail again, it is discarded again. Jobs that were enqueued in another database or
// environment wait for [Resume]. It is an error if River knows nothing of the forwarder.
func Retry(ctx context.Context, db *sql.DB, dialect hooks.Dialect, schema, forwarder string) (jobs int, err error) {
	t, err := tablesOf(db, dialect, schema)
	if err != nil {
		return 0, err
	}
	client, err := t.client()
	if err != nil {
		return 0, err
	}
	defer t.explain(ctx, toDecide, &err)
	const page = 100
	params := riverqueue.NewJobListParams().Kinds(Kind).Queues(QueueName(forwarder)).
		States(rivertype.JobStateCancelled, rivertype.JobStateDiscarded).
		OrderBy(riverqueue.JobListOrderByID, riverqueue.SortOrderAsc).First(page)
	for {
		list, err := client.JobList(ctx, params)
		if err != nil {
			return jobs, fmt.Errorf("river: retry: %w", err)
		}
		for _, job := range list.Jobs {
			if _, err := client.JobRetry(ctx, job.ID); err != nil {
				return jobs, fmt.Errorf("river: retry job %d: %w", job.ID, err)
			}
			jobs++
		}
		if len(list.Jobs) < page {
			if jobs > 0 {
				return jobs, nil
			}
			return 0, t.mustKnow(ctx, client, forwarder)
		}
		params = params.After(list.LastCursor)
	}
}
