package river

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	riverqueue "github.com/riverqueue/river"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// Options of a [Queue]; nil is fine.
type Options struct {
	// Config is what River's clients are made with. Its Queues, Workers and
	// PeriodicJobs are not used. Without a Logger, warnings and errors go to
	// stderr.
	Config *riverqueue.Config
	// MaxWorkers is how many jobs of one forwarder a process works at a time.
	// The default is 10. Beside an app they share the four connections that a
	// Hub gives them, and on SQLite one.
	MaxWorkers int
}

const (
	defaultWorkers = 10
	// cancelTime is what deliveries get to return after they are cancelled.
	cancelTime = 5 * time.Second
)

// Queue is River as a [forward.Queue]. It is safe for concurrent use.
type Queue struct {
	config     riverqueue.Config
	maxWorkers int
	inserters  map[hooks.Dialect]*riverqueue.Client[*sql.Tx]
}

var _ forward.Queue = (*Queue)(nil)

// New returns a queue for forward.Options.Queue. It does no I/O, and it panics if
// River refuses the Config.
func New(o *Options) *Queue {
	if o == nil {
		o = &Options{}
	}
	q := &Queue{maxWorkers: o.MaxWorkers, inserters: make(map[hooks.Dialect]*riverqueue.Client[*sql.Tx])}
	if o.Config != nil {
		q.config = *o.Config
	}
	q.config.Queues, q.config.Workers, q.config.PeriodicJobs = nil, nil, nil
	if q.config.Logger == nil {
		q.config.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	if q.maxWorkers <= 0 {
		q.maxWorkers = defaultWorkers
	}
	for _, dialect := range []hooks.Dialect{hooks.Postgres, hooks.SQLite} {
		config := q.config
		client, err := riverqueue.NewClient(quietDriver(dialect), &config)
		if err != nil {
			panic(fmt.Sprintf("river: New: %v", err))
		}
		q.inserters[dialect] = client
	}
	return q
}

// Enqueue implements [forward.Queue]: it inserts the jobs in one statement.
func (q *Queue) Enqueue(ctx context.Context, conn *sql.DB, dialect hooks.Dialect, jobs []forward.Job) error {
	client, ok := q.inserters[dialect]
	if !ok {
		return fmt.Errorf("river: no driver for dialect %q", dialect)
	}
	params := make([]riverqueue.InsertManyParams, len(jobs))
	for i, j := range jobs {
		params[i] = riverqueue.InsertManyParams{
			Args:       args{Forwarder: j.Forwarder, Events: j.Events},
			InsertOpts: &riverqueue.InsertOpts{Queue: QueueName(j.Forwarder), MaxAttempts: j.MaxAttempts},
		}
	}
	// Neither begins nor ends anything on conn: see hooks.Flush.
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("river: insert jobs: %w", err)
	}
	if _, err := client.InsertManyFastTx(ctx, tx, params); err != nil {
		_ = tx.Rollback() // the app's transaction is the driver's to roll back
		return fmt.Errorf("river: insert jobs: %w", err)
	}
	return tx.Commit()
}

// Start implements [forward.Queue]: it starts a River client. Its error says if
// River's tables are not there.
func (q *Queue) Start(ctx context.Context, w forward.Worker) (stop func(context.Context) error, err error) {
	driver, err := newDriver(w.Dialect, w.DB)
	if err != nil {
		return nil, err
	}
	if err = checkTables(ctx, driver, q.config.Schema); err != nil {
		return nil, err
	}
	config := q.config
	config.Workers = riverqueue.NewWorkers()
	riverqueue.AddWorker(config.Workers, &worker{deliver: w.Deliver})
	config.Queues = make(map[string]riverqueue.QueueConfig, len(w.Forwarders))
	for _, name := range w.Forwarders {
		config.Queues[QueueName(name)] = riverqueue.QueueConfig{MaxWorkers: q.maxWorkers}
	}
	client, err := riverqueue.NewClient(driver, &config)
	if err != nil {
		return nil, fmt.Errorf("river: %w", err)
	}
	if err = client.Start(context.WithoutCancel(ctx)); err != nil {
		return nil, fmt.Errorf("river: start: %w", err)
	}
	return func(ctx context.Context) error { return stopClient(ctx, client) }, nil
}

// stopClient lets running jobs finish until ctx ends, and cancels them then.
func stopClient(ctx context.Context, client *riverqueue.Client[*sql.Tx]) error {
	err := client.Stop(ctx)
	if err == nil {
		return nil
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelTime)
	defer cancel()
	return fmt.Errorf("river: stop: %w", errors.Join(err, client.StopAndCancel(last)))
}
