package forward

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// Queue delivers to async forwarders instead of the relay; see
// [Options.Queue]. It is called concurrently.
type Queue interface {
	// Enqueue adds jobs within the app's transaction, after its events were
	// written to the journal and before COMMIT. conn is that of [hooks.Flush],
	// so the jobs share the fate of the transaction, and of a savepoint in it.
	// An error is one of the flush.
	Enqueue(ctx context.Context, conn *sql.DB, dialect hooks.Dialect, jobs []Job) error

	// Check says why Enqueue could not work, such as a table or a right that is
	// missing. It is called with the first connection to a database, whose
	// attempt fails with its error, and changes nothing.
	Check(ctx context.Context, conn *sql.DB, dialect hooks.Dialect) error

	// Start starts workers. It is called once for each database, with the first
	// connection, whose attempt fails with its error. ctx bounds Start and not
	// the workers.
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
}

// Job names the events of one transaction for one forwarder. They are in the
// journal.
type Job struct {
	Forwarder   string
	Events      []uuid.UUID
	MaxAttempts int
	// Identity says in few bytes what the forwarder is in the program that enqueues,
	// so that the one that works can see whether it is the same there. A Queue that
	// does not keep it leaves it empty.
	Identity string
	// Attempt counts from 1. It is zero in Enqueue.
	Attempt int
}

// Worker is what the workers of a [Queue] work with.
type Worker struct {
	// DB is a pool of the base driver, past the wrapper, that is theirs.
	DB      *sql.DB
	Dialect hooks.Dialect
	// Forwarders are those to deliver to.
	Forwarders []string
	// Deliver makes one attempt: it reads the job's events from the journal and
	// calls the forwarder, each within its timeout, and notifies observers. It
	// takes a connection of DB for as long. Of its errors, a [PermanentError]
	// says that no attempt may follow, a [PartialError] that the next is to have
	// the events that it names alone, any other that all are to come again.
	Deliver func(ctx context.Context, job Job) error
}

// workerConns is how many connections the workers beside an app have.
const workerConns = 4

// Work works the jobs of [Options.Queue] from db until ctx ends: for a process
// that does nothing else, beside apps with [RelayElsewhere]. db is of the base
// driver.
func (h *Hub) Work(ctx context.Context, db *sql.DB, dialect hooks.Dialect) error {
	d := h.newHandler(hooks.Database{Driver: "worker", Dialect: dialect})
	d.asked = true
	d.queue.given = slices.DeleteFunc(d.sinks, func(s *sink) bool { return s.dispatch == Sync })
	d.sinks = nil
	if h.external == nil || len(d.queue.given) == 0 {
		return errors.New("forward: there is nothing to work: set Options.Queue, and register a forwarder with Async or Auto")
	}
	var err error
	if d.journal, err = journal.New(dialect, h.journal); err != nil {
		return fmt.Errorf("forward: %w", err)
	}
	if err = d.nameLog(ctx, db); err != nil {
		return err
	}
	if err = d.journal.Connect(ctx, db); err == nil {
		err = d.attach(ctx, db)
	}
	if err == nil {
		err = d.runWorkers(ctx, db)
	}
	if err != nil {
		return err
	}
	return d.closeAfter(ctx)
}

// isQueues reports whether s is the Queue's to deliver to.
func (d *handler) isQueues(s *sink) bool {
	return d.hub.external != nil && d.journal != nil && s.dispatch != Sync &&
		(d.db.Connector != nil || d.hub.relayMode == RelayElsewhere)
}

// enqueue enqueues what was flushed.
func (d *handler) enqueue(ctx context.Context, f hooks.Flush) error {
	if len(d.queue.given) == 0 {
		return nil
	}
	ids := idsOf(f.Events)
	jobs := make([]Job, len(d.queue.given))
	for i, s := range d.queue.given {
		jobs[i] = Job{Forwarder: s.name(), Events: ids, MaxAttempts: s.maxAttempts, Identity: s.short()}
	}
	if err := d.hub.external.Enqueue(ctx, f.Conn, d.db.Dialect, jobs); err != nil {
		return fmt.Errorf("forward: enqueue %d jobs: %w", len(jobs), err)
	}
	return nil
}

// checkQueue says what would keep the Queue from its work, and what the relay has
// left of it.
func (d *handler) checkQueue(ctx context.Context, conn *sql.DB) error {
	if len(d.queue.given) == 0 {
		return nil
	}
	if err := d.hub.external.Check(ctx, conn, d.db.Dialect); err != nil {
		return fmt.Errorf("forward: driver %s: %w", d.db.Driver, err)
	}
	return d.warnMoved(ctx, conn)
}

// warnMoved warns of forwarders that the relay served before, and stopped to.
func (d *handler) warnMoved(ctx context.Context, conn *sql.DB) error {
	store := d.relayStore()
	if store == nil {
		return nil
	}
	states, err := store.States(ctx, conn)
	if err != nil {
		if hooks.SQLState(err) == insufficientPrivilege || d.journal.Missing(err) {
			return nil
		}
		return fmt.Errorf("forward: driver %s: %w", d.db.Driver, err)
	}
	for i := range states {
		st := &states[i]
		given := slices.ContainsFunc(d.queue.given, func(s *sink) bool { return s.name() == st.Forwarder })
		if given && st.RetiredAt.IsZero() {
			d.log().Warn("aftercommit: a forwarder was the relay's and is the Queue's now: what was committed before waits for the relay, and is kept; "+
				"run Hub.Relay without Options.Queue until it is not behind any more, then end it with relay.Store.Retire",
				zap.String("driver", d.db.Driver), zap.String("forwarder", st.Forwarder), zap.Int64("behind", st.Behind))
		}
	}
	return nil
}

// startWorkers starts the Queue's workers of this process.
func (d *handler) startWorkers(ctx context.Context) error {
	if d.workers() != nil || len(d.queue.given) == 0 || d.hub.relayMode == RelayElsewhere {
		return nil
	}
	db := sql.OpenDB(d.beside())
	db.SetMaxOpenConns(workerConns)
	if d.db.Dialect == hooks.SQLite {
		db.SetMaxOpenConns(1) // they would only wait for each other
	}
	if err := d.runWorkers(ctx, db); err != nil {
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

func (d *handler) runWorkers(ctx context.Context, db *sql.DB) error {
	w := Worker{DB: db, Dialect: d.db.Dialect, Deliver: func(ctx context.Context, job Job) error { return d.work(ctx, db, job) }}
	for _, s := range d.queue.given {
		if !s.off.Load() {
			w.Forwarders = append(w.Forwarders, s.name())
		}
	}
	if len(w.Forwarders) == 0 {
		return nil
	}
	workers, err := d.hub.external.Start(ctx, w)
	if err != nil {
		return fmt.Errorf("forward: driver %s: %w", d.db.Driver, err)
	}
	if d.keepWorkers(workers) {
		return nil
	}
	// The database, or the Hub, was closed meanwhile.
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	return workers.Stop(stop)
}

// keepWorkers makes workers known to what stops them, and reports false if that has
// been called already.
func (d *handler) keepWorkers(workers Workers) bool {
	q := &d.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if d.starter.isClosed() || !d.hub.admit(d) {
		return false
	}
	q.workers = workers
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
	workers, db := d.queue.workers, d.queue.workersDB
	d.queue.workers, d.queue.workersDB = nil, nil
	d.queue.mu.Unlock()
	if workers == nil {
		return nil
	}
	err := workers.Stop(ctx)
	if db != nil {
		err = errors.Join(err, db.Close())
	}
	return err
}
