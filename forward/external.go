package forward

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/nildb"
)

// Queue delivers to async forwarders instead of the relay; see
// [Options.Queue]. It is called concurrently.
type Queue interface {
	// Enqueue adds jobs within the app's transaction, after its events were
	// written to the journal and before COMMIT. conn is that of [hooks.Flush],
	// so the jobs share the fate of the transaction, and of a savepoint in it.
	// A statement whose text begins or ends a transaction, or changes the app's
	// session, is refused. An error fails the flush.
	Enqueue(ctx context.Context, conn *sql.DB, dialect hooks.Dialect, jobs []Job) error

	// Check reports why Enqueue cannot work, such as a missing table or right, and
	// changes nothing. It is called with the first connection to a database. Its
	// error fails that connection attempt; in best effort the start is tried again.
	Check(ctx context.Context, conn *sql.DB, dialect hooks.Dialect) error

	// Start starts workers for a database, with its first connection. It is called
	// again after an error, which is treated as that of Check, and, after Stop, when a
	// forwarder that was left out can be attached. ctx bounds Start and not the workers.
	Start(ctx context.Context, w Worker) (Workers, error)
}

// Workers are those that a [Queue] has started.
type Workers interface {
	// Stop lets jobs that are running finish until ctx ends, and cancels them
	// then.
	Stop(ctx context.Context) error
	// Drain waits until each job for the forwarders that is there now has had an
	// attempt, by whichever process.
	Drain(ctx context.Context) error
	// States returns how the forwarders stand that have jobs, whichever process works
	// them: Behind and Oldest count the events of jobs that wait or run, Retrying those that
	// are tried again after a failure, and Discarded those of dead letters. Elsewhere says
	// that some of the jobs that wait are not of [Worker.Place]. [Hub.Status] calls it.
	States(ctx context.Context) ([]relay.State, error)
}

// Job names the events of one flush for one forwarder. They are in the
// journal.
type Job struct {
	Forwarder string
	// Key is that of the flush, and Events are all its events, in order. Jobs of earlier
	// versions have no Key: the journal finds these by the IDs of their events.
	Key         uuid.UUID
	Events      []uuid.UUID
	MaxAttempts int
	// Identity is a hash of what the forwarder is in the program that enqueues, and
	// that program's name; the program that works the job compares it with its own.
	// A Queue that does not store it leaves it empty.
	Identity string
	// Place names the database and the environment in which the job was enqueued. Elsewhere
	// it is not delivered: see [Options.Environment]. A Queue that does not store it leaves
	// it empty, and its jobs are delivered anywhere.
	Place string
	// Served says that a process runs, as far as the Queue knows, that works jobs of Place. A
	// process elsewhere soon makes the job available to that one.
	Served bool
	// Timeout is how long an attempt may take; the Queue then ends its ctx. If an attempt
	// takes longer, its process has died. Zero stands for [Worker.Timeout]. A Queue should
	// store it with the job: the program that looks for jobs of dead processes may have
	// other sinks, and so another Worker.Timeout.
	Timeout time.Duration
	// Attempt counts from 1. It is zero in Enqueue.
	Attempt int
	// Note is the Note of the last attempt's [Verdict], "" before the first attempt.
	Note string
	// Died says that a process died during the last of MaxAttempts, if the Queue knows, and
	// that no operator has asked for this attempt: the job is discarded without a call.
	Died bool
}

// Verdict is what a [Queue] has to do with a job after an attempt.
type Verdict struct {
	Next JobNext
	// Note is what the next attempt needs to know, a JSON object or "". A Queue stores it
	// with the job, unchanged, also if the job was refused or discarded: an operator may
	// have it tried again.
	Note string
	// Wait is how long to wait before the next attempt, for [JobWaits].
	Wait time.Duration
	// Err is why the job is not done.
	Err error
}

// JobNext is what is next for a job.
type JobNext uint8

const (
	// JobDone says that its events are delivered.
	JobDone JobNext = iota
	// JobAgain says that events of it failed, which counts as an attempt. The Queue
	// decides when the next one is.
	JobAgain
	// JobWaits says that the sink accepts nothing, the journal could not be read, the job
	// was enqueued in another database or environment, or the attempt was cut short: its
	// time was up, a call hung, or the process ends. There is another attempt after Wait,
	// and this one does not count.
	JobWaits
	// JobRefused says that the forwarder will never accept some of its events, and has
	// accepted the others. There is no further attempt.
	JobRefused
	// JobDiscarded says that this was the last attempt.
	JobDiscarded
)

// Worker is what a [Queue] starts its workers with.
type Worker struct {
	// DB is a pool of the base driver, not of the wrapped one, for the workers.
	DB      *sql.DB
	Dialect hooks.Dialect
	// Forwarders are those to deliver to.
	Forwarders []string
	// Place asks DB for the place that it leads to and this process's environment, in the
	// form of [Job.Place].
	Place func(ctx context.Context) (string, error)
	// Timeout is for jobs that have none: the longest that any of Forwarders needs.
	Timeout time.Duration
	// Deliver makes one attempt: it reads the job's events from the journal and
	// calls the forwarder, each within its timeout, and notifies observers. It holds a
	// connection of DB while it reads, while a SELECT over [Conn] runs, and from the
	// forwarder's first other statement to the end of the call. Such calls leave one
	// connection of DB to others, if it has several.
	Deliver func(ctx context.Context, job Job) Verdict
}

// An attempt at a job may take jobCalls times the sink's timeout, and at least jobTime:
// it makes one call or, to find bad events, many short ones.
const (
	jobCalls = 10
	jobTime  = 15 * time.Minute
)

// jobTimeout is how long an attempt at a job for s may take.
func (s *sink) jobTimeout() time.Duration { return max(jobTime, jobCalls*s.timeout) }

// workerConns is how many connections the workers beside an app have.
const workerConns = 4

// Work runs the workers of [Options.Queue] on db until ctx ends: for a process that
// does nothing else, beside apps with [RelayElsewhere]. db is of the base driver, not
// of the wrapped one, which is an error. Its role needs what an app's role needs on the
// journal, USAGE on its schema and EXECUTE on its functions, SELECT on its table journal, and
// what the Queue says, see package river.
func (h *Hub) Work(ctx context.Context, db *sql.DB, dialect hooks.Dialect) error {
	db = nildb.Replace(db)
	d := h.newHandler(hooks.Database{Driver: "worker", Dialect: dialect})
	d.asked = true
	if err := h.journaled(); err != nil {
		return err
	}
	d.queue.given = slices.DeleteFunc(d.sinks, func(s *sink) bool { return s.dispatch == Sync })
	d.sinks = nil
	if h.external == nil || len(d.queue.given) == 0 {
		return errors.New("forward: there is nothing to work: set Options.Queue, and register a forwarder with Async or Auto")
	}
	var err error
	if d.journal, err = journal.New(dialect, h.journal); err != nil {
		return fmt.Errorf("forward: %w", err)
	}
	if err = d.openPlaces(); err != nil {
		return err
	}
	if err = d.checkPool(ctx, db); err != nil {
		return err
	}
	if err = d.journal.Connect(ctx, db); err == nil {
		d.sayUpgraded()
		err = d.attach(ctx, db)
	}
	if err == nil { // the roles of apps may not see how the relay stands
		err = d.warnMoved(ctx, db, d.queue.places.store)
	}
	if err == nil {
		err = d.readsRows(ctx, db)
	}
	if err == nil {
		err = d.runWorkers(ctx, db)
	}
	if err != nil {
		return err
	}
	d.logProcess("aftercommit: the workers have started", d.queue.given)
	d.lookAgain(db)
	return d.closeAfter(ctx)
}

// isQueues reports whether the Queue, and not the relay, delivers to s.
func (d *handler) isQueues(s *sink) bool {
	return d.hub.external != nil && d.journal != nil && s.dispatch != Sync &&
		(d.db.Connector != nil || d.hub.relayMode == RelayElsewhere)
}

// enqueue enqueues what was flushed.
func (d *handler) enqueue(ctx context.Context, f hooks.Flush) error {
	if len(d.queue.given) == 0 {
		return nil
	}
	conn := f.Conn.DB()
	place, err := d.placeFor(ctx, conn)
	if err != nil {
		return err
	}
	ids := idsOf(f.Events)
	jobs := make([]Job, len(d.queue.given))
	for i, s := range d.queue.given {
		jobs[i] = Job{Forwarder: s.name(), Key: f.Key, Events: ids, MaxAttempts: s.maxAttempts, Identity: s.short(), Place: place, Timeout: s.jobTimeout()}
	}
	if err := d.hub.external.Enqueue(ctx, conn, d.db.Dialect, jobs); err != nil {
		return fmt.Errorf("forward: enqueue %d jobs: %w", len(jobs), err)
	}
	return d.handOver(ctx, conn, f.Key)
}

// checkQueue returns why the Queue cannot work, and warns of what its forwarders still
// have to get from the relay.
func (d *handler) checkQueue(ctx context.Context, conn *sql.DB) error {
	if len(d.queue.given) == 0 {
		return nil
	}
	if err := d.hub.external.Check(ctx, conn, d.db.Dialect); err != nil {
		return fmt.Errorf("forward: driver %s: %w", d.db.Driver, err)
	}
	if q, ok := d.hub.external.(UnworkedQueue); ok && d.hub.relayMode == RelayElsewhere {
		d.lookForUnworked(ctx, q, conn, nil)
	}
	return d.warnMoved(ctx, conn, d.relayStore())
}

// startWorkers starts the Queue's workers of this process.
func (d *handler) startWorkers(ctx context.Context) error {
	if d.workers() != nil || len(d.queue.given) == 0 || d.hub.relayMode == RelayElsewhere {
		return nil
	}
	var db *sql.DB
	if d.dialect.local() {
		db = sql.OpenDB(d.beside())
		db.SetMaxOpenConns(1) // they would only wait for each other
	} else {
		db = d.poolBeside(workerConns)
	}
	err := d.readsRows(ctx, db)
	if err == nil {
		err = d.runWorkers(ctx, db)
	}
	if err != nil {
		return errors.Join(err, db.Close())
	}
	q := &d.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.workers == nil { // stopped meanwhile, or all are left out
		return db.Close()
	}
	q.workersDB = db
	return nil
}

// readsRows returns what the role lacks to read the journal's rows, as workers do.
func (d *handler) readsRows(ctx context.Context, db *sql.DB) error {
	if d.journal == nil {
		return nil
	}
	if err := d.journal.Readable(ctx, db); err != nil {
		return fmt.Errorf("forward: driver %s: workers of the Queue read the journal's rows: %w", d.db.Driver, err)
	}
	return nil
}

func (d *handler) runWorkers(ctx context.Context, db *sql.DB) error {
	conns := d.newJobConns(db)
	w := Worker{DB: db, Dialect: d.db.Dialect, Deliver: func(ctx context.Context, job Job) Verdict { return d.work(ctx, conns, job) }}
	w.Place = func(ctx context.Context) (string, error) { return d.queue.places.store.Place(ctx, db) }
	for _, s := range d.queue.given {
		if !s.off.Load() {
			w.Forwarders = append(w.Forwarders, s.name())
			w.Timeout = max(w.Timeout, s.jobTimeout())
		}
	}
	if len(w.Forwarders) == 0 {
		return nil
	}
	workers, err := startOf(ctx, d.hub.external, w)
	if err != nil {
		return fmt.Errorf("forward: driver %s: %w", d.db.Driver, err)
	}
	if d.keepWorkers(workers, db) {
		return nil
	}
	// The database, or the Hub, was closed meanwhile.
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	return workers.Stop(stop)
}

// startOf is q.Start, whose panic is an error: it may be called beside the app.
func startOf(ctx context.Context, q Queue, w Worker) (workers Workers, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic at the start of the Queue's workers: %v", v)
		}
	}()
	return q.Start(ctx, w)
}

// keepWorkers keeps workers for Close to stop, and reports false if the database or the
// Hub is closed already.
func (d *handler) keepWorkers(workers Workers, db *sql.DB) bool {
	q := &d.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if d.starter.isClosed() || !d.hub.admit(d) {
		return false
	}
	q.workers, q.stopWatch = workers, d.watchUnworked(db)
	return true
}

// workers returns the Queue's workers of this process, nil if there are none.
func (d *handler) workers() Workers {
	d.queue.mu.Lock()
	defer d.queue.mu.Unlock()
	return d.queue.workers
}

func (d *handler) stopWorkers(ctx context.Context) error {
	d.queue.mu.Lock()
	workers, db, stopWatch := d.queue.workers, d.queue.workersDB, d.queue.stopWatch
	d.queue.workers, d.queue.workersDB, d.queue.stopWatch = nil, nil, nil
	d.queue.mu.Unlock()
	if workers == nil {
		return nil
	}
	stopWatch(ctx)
	err := workers.Stop(ctx)
	if db != nil {
		err = errors.Join(err, db.Close())
	}
	return err
}
