package river

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	riverqueue "github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/nildb"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
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
	drainPause = 10 * time.Millisecond
	// forever is River's retention period for jobs that are never deleted.
	forever = -1
)

// Queue is River as a [forward.Queue]. It is safe for concurrent use.
type Queue struct {
	config     riverqueue.Config
	maxWorkers int
	inserters  map[hooks.Dialect]*riverqueue.Client[*sql.Tx]
}

var _ forward.Queue = (*Queue)(nil)

// New returns a queue for forward.Options.Queue. It does no I/O, and it panics if
// River refuses the Config, or MaxWorkers is negative or above River's limit.
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
	switch {
	case q.maxWorkers == 0:
		q.maxWorkers = defaultWorkers
	case q.maxWorkers < 0 || q.maxWorkers > riverqueue.QueueNumWorkersMax:
		panic(fmt.Sprintf("river: New: MaxWorkers is %d: it must be between 1 and %d, or 0 for the default of %d", q.maxWorkers, riverqueue.QueueNumWorkersMax, defaultWorkers))
	}
	for name, d := range dialects {
		config := q.config
		client, err := riverqueue.NewClient(quiet{d.driver(nil)}, &config)
		if err != nil {
			panic(fmt.Sprintf("river: New: %v", err))
		}
		q.inserters[name] = client
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
			Args: args{
				Forwarder: pgtext.Written(j.Forwarder), Key: j.Key, Events: j.Events, Identity: pgtext.Written(j.Identity), At: pgtext.Written(j.Place), Place: newerPlace,
				Seconds: int(j.Timeout / time.Second), MaxAttempts: j.MaxAttempts,
			},
			InsertOpts: &riverqueue.InsertOpts{Queue: QueueName(j.Forwarder), MaxAttempts: maxAttempts(j.MaxAttempts)},
		}
	}
	// Neither begins nor ends anything on conn: see hooks.Flush.
	tx, err := nildb.Replace(conn).BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("river: insert jobs: %w", err)
	}
	if _, err := client.InsertManyFastTx(ctx, tx, params); err != nil {
		_ = tx.Rollback() // the app's transaction is the driver's to roll back
		return fmt.Errorf("river: insert jobs: %w", err)
	}
	return tx.Commit()
}

// Check implements [forward.Queue]: it looks for River's tables and for the right
// to insert jobs.
func (q *Queue) Check(ctx context.Context, conn *sql.DB, dialect hooks.Dialect) error {
	t, err := tablesOf(conn, dialect, q.config.Schema)
	if err != nil {
		return err
	}
	return t.check(ctx, toInsert)
}

// Start implements [forward.Queue]: it starts a River client.
func (q *Queue) Start(ctx context.Context, w forward.Worker) (forward.Workers, error) {
	t, err := tablesOf(w.DB, w.Dialect, q.config.Schema)
	if err != nil {
		return nil, err
	}
	if err = t.check(ctx, toWork); err != nil {
		return nil, err
	}
	config := q.config
	config.Workers = riverqueue.NewWorkers()
	names := make(map[string]string, len(w.Forwarders))
	here := &presence{tables: t, place: w.Place, log: q.config.Logger}
	riverqueue.AddWorker(config.Workers, &worker{deliver: w.Deliver, timeout: w.Timeout, names: names, served: here.serves})
	config.Queues = make(map[string]riverqueue.QueueConfig, len(w.Forwarders))
	running := &workers{here: here, names: names}
	for _, name := range w.Forwarders {
		names[pgtext.Written(name)] = name
		queue := QueueName(name)
		here.queues = append(here.queues, queue)
		config.Queues[queue] = riverqueue.QueueConfig{MaxWorkers: q.maxWorkers}
	}
	// The schema is this queue's alone, so that no job of the app's is rescued. A job that
	// carries a longer timeout is not rescued before that has passed.
	config.RescueStuckJobsAfter = cmp.Or(config.RescueStuckJobsAfter, max(w.Timeout, config.JobTimeout)+rescueMargin)
	// Only an operator deletes dead letters of an audit trail.
	config.CancelledJobRetentionPeriod = cmp.Or(config.CancelledJobRetentionPeriod, forever)
	config.DiscardedJobRetentionPeriod = cmp.Or(config.DiscardedJobRetentionPeriod, forever)
	if running.client, err = riverqueue.NewClient(t.driver(), &config); err != nil {
		return nil, fmt.Errorf("river: %w", err)
	}
	here.process = running.client.ID()
	here.start(ctx)
	if err = running.client.Start(context.WithoutCancel(ctx)); err != nil {
		here.stop()
		return nil, fmt.Errorf("river: start: %w", err)
	}
	return running, nil
}

// workers are a River client that is started.
type workers struct {
	client *riverqueue.Client[*sql.Tx]
	here   *presence
	names  map[string]string // of forwarders, by how they are written in args
}

// States implements [forward.Workers].
func (w *workers) States(ctx context.Context) ([]relay.State, error) {
	place, err := w.here.place(ctx)
	if err != nil {
		return nil, fmt.Errorf("river: how forwarders stand: %w", err)
	}
	t := w.here.tables
	states, err := t.states(ctx, "place <> "+t.dialect.literal(place))
	for i := range states {
		states[i].Forwarder = cmp.Or(w.names[states[i].Forwarder], states[i].Forwarder)
	}
	return states, err
}

// Stop implements [forward.Workers].
func (w *workers) Stop(ctx context.Context) error {
	defer w.here.stop()
	err := w.client.Stop(ctx)
	if err == nil {
		return nil
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelTime)
	defer cancel()
	return fmt.Errorf("river: stop: %w", errors.Join(err, w.client.StopAndCancel(last)))
}

// Drain implements [forward.Workers].
func (w *workers) Drain(ctx context.Context) error {
	last, err := w.job(ctx, riverqueue.SortOrderDesc)
	for first := last; err == nil && first != 0 && first <= last; {
		select {
		case <-ctx.Done():
			return fmt.Errorf("river: drain: job %d has not had its attempt: %w", first, ctx.Err())
		case <-time.After(drainPause):
		}
		first, err = w.job(ctx, riverqueue.SortOrderAsc)
	}
	return err
}

// job returns the id of the first job, in that order, that waits for its first
// attempt or has one, zero if there is none.
func (w *workers) job(ctx context.Context, order riverqueue.SortOrder) (int64, error) {
	list, err := w.client.JobList(ctx, riverqueue.NewJobListParams().Kinds(Kind).Queues(w.here.queues...).
		States(rivertype.JobStateAvailable, rivertype.JobStateRunning).
		Where("(state = 'running' OR metadata -> '"+noteKey+"' IS NULL)").
		OrderBy(riverqueue.JobListOrderByID, order).First(1))
	if err != nil {
		return 0, fmt.Errorf("river: drain: %w", err)
	}
	if len(list.Jobs) == 0 {
		return 0, nil
	}
	return list.Jobs[0].ID, nil
}
