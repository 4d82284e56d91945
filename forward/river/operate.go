package river

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	riverqueue "github.com/riverqueue/river"
)

type riverClient = riverqueue.Client[*sql.Tx]

// client returns one for what an operator does to jobs.
func (t *tables) client() (*riverClient, error) {
	client, err := riverqueue.NewClient(t.driver(), &riverqueue.Config{Schema: t.schema, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, fmt.Errorf("river: %w", err)
	}
	return client, nil
}

// mustKnow is an error that names the forwarders with jobs, unless there is a job of this
// one, or workers have had its queue: its name is misspelt.
func (t *tables) mustKnow(ctx context.Context, client *riverClient, forwarder string) error {
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
	names, err := t.forwarders(ctx)
	if err != nil {
		return err
	}
	known := "no forwarder has any"
	if len(names) > 0 {
		known = "forwarders with jobs are " + strings.Join(names, ", ")
	}
	return fmt.Errorf("river: there are no jobs of a forwarder %q, and no process has worked any: correct the name (%s)", forwarder, known)
}

// forwarders returns the names of those with jobs.
func (t *tables) forwarders(ctx context.Context) (names []string, err error) {
	table, err := t.name(ctx, "river_job")
	if err != nil {
		return nil, err
	}
	names, err = texts(ctx, t.db, "SELECT DISTINCT "+t.dialect.statements().forwarder+" AS forwarder FROM "+table+" WHERE kind = '"+Kind+"' ORDER BY forwarder")
	if err != nil {
		return nil, fmt.Errorf("river: look for forwarders with jobs: %w", err)
	}
	return names, nil
}
