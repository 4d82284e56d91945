package forward

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// RelayMode is whether this process relays entries from the journal.
type RelayMode uint8

const (
	// RelayInProcess is the default: on PostgreSQL the first connection starts a
	// relay beside the app. It opens up to three more connections, and keeps none while
	// other processes deliver. If it cannot be started yet, that is tried again. On SQLite
	// there is none, because a second writer breaks apps without a busy timeout.
	RelayInProcess RelayMode = iota
	// RelayElsewhere leaves it to a process that calls [Hub.Relay]. On PostgreSQL
	// the app's role then needs no rights on the relay's tables.
	RelayElsewhere
	// RelayOff runs no relay: forwarders are called within Commit, and what they
	// refuse is discarded. It stays in the journal.
	RelayOff
)

// SameDatabase is a [Forwarder] that reports, when it is registered, whether it does all
// its work over [Conn]. If so, the relay moves its cursor in the transaction of the delivery, so that each
// entry is delivered exactly once.
type SameDatabase interface {
	SameDatabase() bool
}

const (
	defaultGrace = 30 * time.Second
	// acknowledgeEvery is how often, at least, what sync forwarders have accepted is noted
	// for the relay.
	acknowledgeEvery = time.Second
	closeTime        = 5 * time.Second

	insufficientPrivilege = "42501" // SQLSTATE
)

// queue is what relays the entries of a database.
type queue struct {
	store *relay.Store
	// async says that forwarders need not be called within Commit.
	async bool
	// denied says that this role may not use the relay's tables.
	denied atomic.Bool
	// given are the sinks that Options.Queue delivers to.
	given  []*sink
	places places // of their jobs
	memory relay.Memory

	mu sync.Mutex // guards what follows
	// catchUp is for databases without a relay, where commits do its work.
	catchUp catchUpState
	notes   syncNotes
	relay   *relay.Relay
	relayDB *sql.DB // which it works on
	// stop ends acknowledgeAccepted, and stopped is closed then. Until it is ended, stop is not nil.
	stop    chan struct{}
	stopped chan struct{}
	// workers are those of Options.Queue, workersDB what to close after them.
	workers   Workers
	workersDB *sql.DB
	stopWatch func(context.Context) // of watchUnworked
	// restarting is closed once workers that were stopped for a forwarder that was left
	// out work again, nil if they do.
	restarting chan struct{}
}

// hasQueue reports whether async forwarders can be served.
func (d *handler) hasQueue() bool { return d.queue.async && !d.queue.denied.Load() }

// relayStore returns nil where this process has nothing to do with a relay.
func (d *handler) relayStore() *relay.Store {
	if d.queue.denied.Load() {
		return nil
	}
	return d.queue.store
}

// openQueue makes ready what startQueue starts.
func (d *handler) openQueue() error {
	if d.journal == nil || d.hub.relayMode == RelayOff || d.db.Connector == nil {
		return nil
	}
	s, err := d.newStore(d.db.Dialect)
	if err != nil {
		return fmt.Errorf("forward: driver %s: %w", d.db.Driver, err)
	}
	d.queue.store = s
	d.queue.async = d.dialect.beside() || d.hub.relayMode == RelayElsewhere
	return nil
}

// newStore returns the relay's store, which knows where the forwarders' row changes are.
func (d *handler) newStore(dialect hooks.Dialect) (*relay.Store, error) {
	o := &relay.Options{Journal: d.hub.journal, Environment: d.hub.environment}
	for _, s := range d.sinks {
		if s.changes != nil && dialect == hooks.Postgres { // elsewhere mayHaveChanges refuses it
			if o.Changes == nil {
				o.Changes = make(map[string]relay.Changes)
			}
			o.Changes[s.name()] = s.changes
		}
	}
	return relay.New(dialect, o)
}

// allSinks are those that the Hub delivers to, and those of Options.Queue.
func (d *handler) allSinks() []*sink { return slices.Concat(d.sinks, d.queue.given) }

// resolve chooses the dispatch of each sink.
func (d *handler) resolve() error {
	all := d.sinks
	d.sinks = nil
	for _, s := range all {
		if err := d.mayHaveChanges(s); err != nil {
			return err
		}
		if d.isQueues(s) {
			d.queue.given = append(d.queue.given, s)
			continue
		}
		d.sinks = append(d.sinks, s)
		switch {
		case s.dispatch == Async && !d.hasQueue():
			return fmt.Errorf("forward: %s is registered with Async, and driver %s has no queue: %s", s.name(), d.db.Driver, d.whyNoQueue())
		case s.dispatch == Sync, !d.hasQueue():
			s.inCommit.Store(true)
		}
	}
	return d.openPlaces()
}

func (d *handler) whyNoQueue() string {
	switch {
	case d.journal == nil:
		return "the relay reads the journal, and Options.NoJournal is set; use Sync"
	case d.hub.relayMode == RelayOff:
		return "Options.Relay is RelayOff; leave it at its default, or use Sync"
	case d.dialect.local():
		return "on SQLite the relay runs in a separate process, one that calls Hub.Relay: set Options.Relay to RelayElsewhere and start it, or use Auto or Sync"
	default:
		return "the base driver has no connector; use Sync"
	}
}

// registerSinks makes the forwarders' cursors, so that what is committed from
// now on waits for them, also if they cannot be attached yet.
// What must not keep the app from its connection is returned as later: the start is
// tried again beside the app.
func (d *handler) registerSinks(ctx context.Context, conn *sql.DB) (later, err error) {
	store := d.relayStore()
	if store == nil {
		return nil, nil
	}
	for _, s := range d.sinks {
		err := d.register(ctx, conn, s)
		switch {
		case err == nil, d.registersLater(s, err):
		case hooks.SQLState(err) == insufficientPrivilege:
			return d.withoutRights(ctx, conn, err)
		case hooks.SQLState(err) == readOnly:
			return errReadOnly, nil
		default:
			return nil, err
		}
	}
	return nil, nil
}

// isStandby reports whether conn is to a hot standby, if the journal is to be there.
func (d *handler) isStandby(ctx context.Context, conn *sql.DB) (bool, error) {
	if d.journal == nil {
		return false, nil
	}
	return d.dialect.isStandby(ctx, conn)
}

// startQueue checks the Queue, and starts its workers and the relay of this
// process.
func (d *handler) startQueue(ctx context.Context, conn *sql.DB) error {
	if err := d.checkQueue(ctx, conn); err != nil {
		return err
	}
	if err := d.startWorkers(ctx); err != nil {
		return err
	}
	d.warnConnections(ctx, conn)
	if !d.relaysHere() {
		return nil
	}
	db, err := d.sideDB()
	switch {
	case err == nil:
		d.runQueue(db)
	case !errors.Is(err, errClosed): // else this connection has outlived its pool
		return err
	}
	return nil
}

// relaysHere reports whether the relay is this process's.
func (d *handler) relaysHere() bool {
	return d.hasQueue() && d.hub.relayMode == RelayInProcess && len(d.sinks) > 0
}

func (d *handler) runQueue(db *sql.DB) {
	q := &d.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.relay != nil || d.starter.isClosed() || !d.hub.admit(d) {
		return // the database, or the Hub, was closed meanwhile
	}
	q.relayDB, q.relay = db, d.newRelay(db)
	q.stop, q.stopped = make(chan struct{}), make(chan struct{})
	go d.acknowledgeAccepted(db, q.stop, q.stopped)
}

// newRelay starts a relay for the sinks that are not left out.
func (d *handler) newRelay(db *sql.DB) *relay.Relay {
	cfg := relay.Config{Program: d.hub.application, Process: d.hub.process(), Notify: d.Notify, Log: d.log()}
	for _, s := range d.sinks {
		switch {
		case s.off.Load():
			cfg.LeftOut = append(cfg.LeftOut, s.name())
		case s.inCommit.Load() || d.hub.external == nil:
			cfg.Targets = append(cfg.Targets, d.target(s))
		}
	}
	return relay.Start(d.queue.store, db, cfg)
}

// callSink makes one call over the lent connection, and returns what the filter keeps of
// entries.
func (d *handler) callSink(ctx context.Context, lent *sql.DB, s *sink, entries []journal.Entry) (seen []journal.Entry, r relay.Result) {
	if err := d.mayCall(s); err != nil {
		return entries, relay.Result{Err: &relay.Failure{Reason: reasonSuspended, Err: err}}
	}
	result, returned := d.callWithin(ctx, lent, s, entries, func(ctx context.Context) callResult { return call(ctx, s, entries) })
	if !returned {
		return entries, relay.Result{Hung: true, Err: &relay.Failure{Reason: reasonTimeout, Err: errLeftBehind}}
	}
	r = toResult(result)
	r.TimedOut = result.timedOut && ctx.Err() == nil
	r.Filtered = len(entries) - len(result.entries)
	return result.entries, r
}

// target is s as the relay calls it.
func (d *handler) target(s *sink) relay.Target {
	t := relay.Target{Name: s.name(), Identity: s.identity(d.hub.application), MaxAttempts: s.maxAttempts, Deliver: func(ctx context.Context, db *sql.DB, entries []journal.Entry) relay.Result {
		_, r := d.callSink(ctx, db, s, entries)
		return r
	}}
	t.Timeout = s.timeout + returnTime
	t.Changes = s.changes
	if r, ok := s.forwarder.(GapRecorder); ok && s.changes != nil {
		t.RecordGaps = func(ctx context.Context, db *sql.DB, gaps []relay.Gap) relay.Result {
			return d.recordGaps(ctx, db, s, r, gaps)
		}
	}
	t.SameDatabase = s.same
	if s.inCommit.Load() {
		t.Grace, t.Accepted = d.hub.grace, s.proof.last
	}
	return t
}

// toResult says what r means for each entry.
func toResult(r callResult) (out relay.Result) {
	if r.err == nil {
		return out
	}
	failed, partial := partOf(r.err)
	if !partial {
		f := failureOf(r)
		out.Err = &f
		return out
	}
	out.Failed = make(map[uuid.UUID]relay.Failure, len(failed))
	for id, err := range failed {
		word, permanent := reason(err)
		var b *BlockedError
		out.Failed[id] = relay.Failure{Reason: word, Permanent: permanent, Blocked: !permanent && errors.As(err, &b), Err: err}
	}
	return out
}

// enqueued notifies observers that the relay or the Queue delivers events or, where
// neither can now, that they wait.
func (d *handler) enqueued(ids []uuid.UUID) {
	if len(ids) == 0 || !d.hasQueue() && len(d.queue.given) == 0 {
		return
	}
	d.starter.owe(len(ids))
	for _, s := range d.allSinks() {
		if s.inCommit.Load() || s.off.Load() {
			continue
		}
		n := hooks.Notice{Kind: hooks.NoticeEnqueued, Events: ids, Forwarder: s.name(), Dispatch: Async.String()}
		if why := d.waits(s); why != nil {
			n.Kind, n.Reason, n.Err = hooks.NoticeWaiting, waitReason(why), why
		}
		d.Notify(n)
	}
	if r := d.running(); r != nil {
		r.Wake()
	}
}

// running returns the relay of this process, nil if there is none.
func (d *handler) running() *relay.Relay {
	d.queue.mu.Lock()
	defer d.queue.mu.Unlock()
	return d.queue.relay
}

// relayDB returns the pool of the relay of this process, nil if there is none.
func (d *handler) relayDB() *sql.DB {
	d.queue.mu.Lock()
	defer d.queue.mu.Unlock()
	return d.queue.relayDB
}

// closeQueue stops the relay and the Queue's workers; deliveries that are running
// may finish until ctx ends.
func (d *handler) closeQueue(ctx context.Context) error {
	return errors.Join(d.starter.close(ctx), d.leftOut.close(ctx), d.keeping.close(ctx), d.stopWorkers(ctx), d.stopRelay(ctx))
}

func (d *handler) stopRelay(ctx context.Context) error {
	q := &d.queue
	q.mu.Lock()
	r, stop, stopped := q.relay, q.stop, q.stopped
	q.relay, q.relayDB = nil, nil
	q.mu.Unlock()
	if r == nil {
		return nil
	}
	err := r.Stop(ctx)
	q.mu.Lock()
	q.stop = nil // not before: what sync forwarders accept meanwhile is noted
	q.mu.Unlock()
	close(stop)
	<-stopped
	return err
}

// Close stops what the handler has started; db.Close calls it, perhaps while a
// connection is still being made. With pending transactions the database stays known to
// the Hub, for Settle.
func (d *handler) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	err := errors.Join(d.closeQueue(ctx), d.acknowledgeRest(), d.side.close())
	if d.pending.len() == 0 {
		d.hub.forget(d)
	}
	return err
}

// Drain waits until all that is committed now has been delivered by the relay or
// the Queue, or has failed, for each database that is open and has one in this
// process. It is for programs that end, and for tests.
func (h *Hub) Drain(ctx context.Context) error {
	var errs []error
	for _, d := range h.databases() {
		if err := d.drain(ctx); err != nil {
			errs = append(errs, fmt.Errorf("forward: drain %s: %w", d.db.Driver, err))
		}
	}
	return errors.Join(errs...)
}

func (d *handler) drain(ctx context.Context) error {
	if err := d.starter.await(ctx); err != nil {
		return err
	}
	var errs []error
	if r := d.running(); r != nil {
		errs = append(errs, r.Drain(ctx))
	}
	errs = append(errs, d.awaitWorkers(ctx))
	if w := d.workers(); w != nil {
		errs = append(errs, w.Drain(ctx))
	}
	return errors.Join(errs...)
}
