package forward

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
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

	// Start starts workers, and returns what stops them; jobs that are running
	// then may finish until its context ends. It is called once for each
	// database, with the first connection, whose attempt fails with its error.
	// ctx bounds Start and not the workers.
	Start(ctx context.Context, w Worker) (stop func(context.Context) error, err error)
}

// Job names the events of one transaction for one forwarder. They are in the
// journal.
type Job struct {
	Forwarder   string
	Events      []uuid.UUID
	MaxAttempts int
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
	// calls the forwarder, each within its timeout, and tells observers. It
	// takes a connection of DB for as long. Of its errors, a [PermanentError]
	// says that no attempt may follow, a [PartialError] that the next is to have
	// the events that it names alone, any other that all are to come again.
	Deliver func(ctx context.Context, job Job) error
}

const (
	// reasonJob is that of a job that names no forwarder or events of this Hub.
	reasonJob = "unknown_job"
	// reasonGone is that of events that were purged before they were delivered.
	reasonGone = "journal_gone"
	// workerConns is how many connections the workers beside an app have.
	workerConns = 4
)

// Work works the jobs of [Options.Queue] from db until ctx ends: for a process
// that does nothing else, beside apps with [RelayElsewhere]. db is of the base
// driver.
func (h *Hub) Work(ctx context.Context, db *sql.DB, dialect hooks.Dialect) error {
	d := h.newHandler(hooks.Database{Driver: "worker", Dialect: dialect})
	d.queue.given = slices.DeleteFunc(d.sinks, func(s *sink) bool { return s.dispatch == Sync })
	d.sinks = nil
	if h.external == nil || len(d.queue.given) == 0 {
		return errors.New("forward: there is nothing to work: set Options.Queue, and register a forwarder with Async or Auto")
	}
	var err error
	if d.journal, err = journal.New(dialect, h.journal); err != nil {
		return fmt.Errorf("forward: %w", err)
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
		jobs[i] = Job{Forwarder: s.name(), Events: ids, MaxAttempts: s.maxAttempts}
	}
	if err := d.hub.external.Enqueue(ctx, f.Conn, d.db.Dialect, jobs); err != nil {
		return fmt.Errorf("forward: enqueue %d jobs: %w", len(jobs), err)
	}
	return nil
}

// startWorkers starts the Queue's workers of this process.
func (d *handler) startWorkers(ctx context.Context) error {
	d.queue.mu.Lock()
	started := d.queue.stopWork != nil
	d.queue.mu.Unlock()
	if started || len(d.queue.given) == 0 || d.hub.relayMode == RelayElsewhere {
		return nil
	}
	db := sql.OpenDB(d.db.Connector)
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
	if stop := q.stopWork; stop != nil {
		q.stopWork = func(ctx context.Context) error { return errors.Join(stop(ctx), db.Close()) }
		return nil
	}
	return db.Close() // stopped meanwhile, or all are left out
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
	stop, err := d.hub.external.Start(ctx, w)
	if err != nil {
		return fmt.Errorf("forward: driver %s: %w", d.db.Driver, err)
	}
	d.queue.mu.Lock()
	d.queue.stopWork = stop
	d.queue.mu.Unlock()
	d.hub.keep(d)
	return nil
}

func (d *handler) stopWorkers(ctx context.Context) error {
	d.queue.mu.Lock()
	stop := d.queue.stopWork
	d.queue.stopWork = nil
	d.queue.mu.Unlock()
	if stop == nil {
		return nil
	}
	return stop(ctx)
}

// work is [Worker.Deliver].
func (d *handler) work(ctx context.Context, db *sql.DB, job Job) error {
	n := hooks.Notice{Dispatch: Async.String(), Forwarder: job.Forwarder, Attempt: job.Attempt}
	var s *sink
	for _, given := range d.queue.given {
		if given.name() == job.Forwarder {
			s = given
		}
	}
	if s == nil || len(job.Events) == 0 {
		err := fmt.Errorf("forward: a job of %d events for the forwarder %q, which is none of this program's async ones", len(job.Events), job.Forwarder)
		n.Kind, n.Events, n.Reason, n.Permanent, n.Err = hooks.NoticeDiscarded, job.Events, reasonJob, true, err
		d.Notify(n)
		return Permanent(reasonJob, err)
	}
	start := time.Now()
	r, gone := d.callJob(ctx, db, s, job)
	n.Duration = time.Since(start)
	stopped := ctx.Err() != nil
	v := verdictOf(r, gone, job.Attempt >= job.MaxAttempts && !stopped)
	if len(v.taken) > 0 {
		n.Kind, n.Events = hooks.NoticeDelivered, v.taken
		d.Notify(n)
	}
	for _, refused := range v.refused {
		n.Kind, n.Events = hooks.NoticeFailed, refused.ids
		n.Reason, n.Permanent, n.Err = refused.Reason, refused.Permanent, refused.Err
		d.Notify(n)
		if refused.Permanent || v.last {
			n.Kind = hooks.NoticeDiscarded
			d.Notify(n)
		}
	}
	return v.err(len(job.Events))
}

// callJob makes the attempt over one connection of db. The ids are those of
// events that are not in the journal.
func (d *handler) callJob(ctx context.Context, db *sql.DB, s *sink, job Job) (r callResult, gone []uuid.UUID) {
	failed := func(err error) callResult { return callResult{entries: named(job.Events), err: err} }
	conn, err := db.Conn(ctx)
	if err != nil {
		return failed(fmt.Errorf("forward: no connection to read the journal: %w", err)), nil
	}
	defer func() { _ = conn.Close() }() // its errors are those of the calls before
	idle := false                       // whether nobody can still be using the connection
	err = relay.Lend(conn, func(lent *sql.DB) {
		_, entries, e := d.look(ctx, lent, &batch{ids: job.Events}, true)
		if e != nil {
			r = failed(e)
			return
		}
		gone = missing(job.Events, entries)
		if idle = len(entries) == 0; idle {
			return
		}
		r, idle = bounded(WithConn(ctx, lent), s.timeout, func(ctx context.Context) callResult { return call(ctx, s, entries) })
		switch {
		case !idle:
			r = callResult{entries: entries, err: errLeftBehind, timedOut: true}
		case !r.finished:
			r = callResult{entries: entries, err: errEndedGoroutine}
		}
	})
	if err != nil && r.entries == nil && gone == nil {
		r = failed(fmt.Errorf("forward: no connection to read the journal: %w", err))
	}
	if !idle {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // the pool closes it
	}
	return r, gone
}

// named are entries that were not read.
func named(ids []uuid.UUID) []journal.Entry {
	entries := make([]journal.Entry, len(ids))
	for i, id := range ids {
		entries[i].ID = id
	}
	return entries
}

func missing(ids []uuid.UUID, entries []journal.Entry) (gone []uuid.UUID) {
	found := make(map[uuid.UUID]bool, len(entries))
	for i := range entries {
		found[entries[i].ID] = true
	}
	for _, id := range ids {
		if !found[id] {
			gone = append(gone, id)
		}
	}
	return gone
}

// verdict is what became of the events of a job.
type verdict struct {
	taken   []uuid.UUID
	refused []refusal
	// last says that there is no further attempt.
	last bool
}

// refusal is a failure, and what has failed by it.
type refusal struct {
	relay.Failure
	ids []uuid.UUID
}

func verdictOf(r callResult, gone []uuid.UUID, last bool) verdict {
	v := verdict{last: last}
	result := toResult(r)
	for _, id := range entryIDs(r.entries) {
		if f, ok := result.Failed[id]; ok {
			v.refused = append(v.refused, refusal{f, []uuid.UUID{id}})
		} else {
			v.taken = append(v.taken, id)
		}
	}
	if result.Err != nil && len(v.taken) > 0 {
		v.refused = append(v.refused, refusal{*result.Err, v.taken})
		v.taken = nil
	}
	if len(gone) > 0 {
		err := fmt.Errorf("forward: %d events of the job are no longer in the journal, such as %s: "+
			"purge what is older than the queue's last attempt", len(gone), gone[0])
		v.refused = append(v.refused, refusal{relay.Failure{Reason: reasonGone, Permanent: true, Err: err}, gone})
	}
	return v
}

// err is the verdict as [Worker.Deliver] returns it, on a job of that many
// events.
func (v *verdict) err(events int) error {
	again := make(map[uuid.UUID]error)
	var transient, permanent *relay.Failure
	for i := range v.refused {
		f := &v.refused[i].Failure
		if f.Permanent {
			permanent = f
			continue
		}
		transient = f
		for _, id := range v.refused[i].ids {
			again[id] = f.Err
		}
	}
	var already *PermanentError
	switch {
	case transient != nil && len(again) < events:
		return Partial(again)
	case transient != nil:
		return transient.Err
	case permanent == nil:
		return nil
	case errors.As(permanent.Err, &already):
		return permanent.Err
	default:
		return Permanent(permanent.Reason, permanent.Err)
	}
}
