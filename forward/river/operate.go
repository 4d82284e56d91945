package river

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	riverqueue "github.com/riverqueue/river"

	"github.com/go-aftercommit/aftercommit/hooks"
)

type riverClient = riverqueue.Client[*sql.Tx]

// operate returns a client for what an operator does to jobs.
func operate(dialect hooks.Dialect, db *sql.DB, schema string) (*riverClient, error) {
	driver, err := newDriver(dialect, db)
	if err != nil {
		return nil, err
	}
	client, err := riverqueue.NewClient(driver, &riverqueue.Config{Schema: schema, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, fmt.Errorf("river: %w", err)
	}
	return client, nil
}

// mustKnow is an error that names the forwarders with jobs, unless there is a job of this
// one, or workers have had its queue: its name is misspelt.
func mustKnow(ctx context.Context, client *riverClient, db *sql.DB, dialect hooks.Dialect, schema, forwarder string) error {
	list, err := client.JobList(ctx, riverqueue.NewJobListParams().Kinds(Kind).Queues(QueueName(forwarder)).First(1))
	if err != nil {
		return fmt.Errorf("river: look for jobs of %s: %w", forwarder, err)
	}
	if len(list.Jobs) > 0 {
		return nil
	}
	switch _, err = client.QueueGet(ctx, QueueName(forwarder)); {
	case err == nil:
		return nil
	case !errors.Is(err, riverqueue.ErrNotFound):
		return fmt.Errorf("river: look for the queue of %s: %w", forwarder, err)
	}
	names, err := forwarders(ctx, db, dialect, schema)
	if err != nil {
		return err
	}
	return fmt.Errorf("river: no job for a forwarder %q is there, and no worker has had it; those with jobs are: %s", forwarder, strings.Join(names, ", "))
}

// forwarders returns the names of those with jobs.
func forwarders(ctx context.Context, db *sql.DB, dialect hooks.Dialect, schema string) (names []string, err error) {
	table, err := jobTable(ctx, db, dialect, schema)
	if err != nil {
		return nil, err
	}
	name := "CASE WHEN typeof(args) <> 'text' OR json_valid(args) THEN json_extract(args, '$.forwarder') END"
	if dialect == hooks.Postgres {
		name = "pg_catalog.jsonb_extract_path_text(args, 'forwarder')"
	}
	names, err = texts(ctx, db, "SELECT DISTINCT "+name+" AS forwarder FROM "+table+" WHERE kind = '"+Kind+"' ORDER BY forwarder")
	if err != nil {
		return nil, fmt.Errorf("river: look for forwarders with jobs: %w", err)
	}
	return names, nil
}
