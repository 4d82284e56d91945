package river

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"

	riverqueue "github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Retry makes a forwarder's dead letters, the jobs that are cancelled or discarded,
// available to the workers once more, and returns how many there are. With River it is
// what relay.Store.Replay is with the relay. schema is that of River's tables, as in
// [Migrate]. Each job delivers the events that the forwarder has not accepted; if they
// fail again, it is discarded again.
func Retry(ctx context.Context, db *sql.DB, dialect hooks.Dialect, schema, forwarder string) (jobs int, err error) {
	driver, err := newDriver(dialect, db)
	if err != nil {
		return 0, err
	}
	client, err := riverqueue.NewClient(driver, &riverqueue.Config{Schema: schema, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return 0, fmt.Errorf("river: retry: %w", err)
	}
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
			return jobs, nil
		}
		params = params.After(list.LastCursor)
	}
}
