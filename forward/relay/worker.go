package relay

import (
	"context"
	"database/sql"
	"errors"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/backoff"
)

// worker delivers to one target while it has the lease.
type worker struct {
	relay  *Relay
	target Target
	// reads is the store that reads what the target gets; nil is the relay's. readable says that checkChanges has found its
	// row changes readable since the last error.
	reads    *Store
	readable bool
	lacking  time.Time // since when it has found them not readable, zero if they are

	wake  chan struct{}
	alert atomic.Bool // commits wake it: it has the lease, or an error keeps it from one
	news  atomic.Bool // the poller has found something

	conn     *sql.Conn // of the step that runs
	leftover Leftover  // on conn, of sinks
	here     string    // the place that conn leads to, as of the last look

	// lease and cursor are nil without the lease. fence and since are of the last one, which
	// the database may still have for this process; since is zero before the first one.
	lease  *lease
	cursor *cursor
	fence  int64
	since  time.Time

	// What follows decides whether to take a lease, or to keep it; see hold.

	// freeSince is when this worker first saw the lease free, while the process had its
	// share already.
	freeSince time.Time
	doubted   *doubted // another process's lease, nil if there is no doubt
	// pinned is until when the last lease is kept though it is above the share; zero if it
	// was taken within the share, and not from an offer.
	pinned  time.Time
	offered bool // the last lease was taken from a process that could not deliver
	// absent is until when this worker leaves the lease to other processes, if there are
	// any: it could not deliver.
	absent time.Time
	row    row

	fresh, again lane // what follows the cursor, and what is due
	window       window
	few          bool      // the last window had few entries: more may come if the worker waits a moment
	dueAt        time.Time // of the next failure, zero if there is none
	asked        time.Time // when dueAt was last read, and the lease renewed if the renewer does not
	// owed is for how long new entries come first, while there are any.
	owed time.Duration
	// unwritten is a pause after a call whose result the database has refused to store:
	// the next call would get the same entries.
	unwritten pause
	trail     trail
	// hasEarlier says that there were tables of an earlier version when the lease was taken, and
	// tookOver is when nothing more was found in them.
	hasEarlier bool
	tookOver   time.Time

	gaps     gaps
	evidence evidence
	rotation rotation
	// ahead are entries that were accepted ahead of the cursor, to be left out when it
	// comes there. A process that dies forgets them, and they come again.
	ahead map[journal.Position]bool

	waiting waiting
	trouble atomic.Pointer[error] // of the last step, nil if it had none
	warned  warned
}

// store returns the store that reads what the target gets.
func (w *worker) store() *Store {
	if w.reads != nil {
		return w.reads
	}
	return w.relay.store
}

// row is what a worker knows of its target's row.
type row struct {
	looked  time.Time // when it was last looked for
	missing bool      // it was to be looked for again since
	retired bool      // as of then
}

// run works until the relay stops.
func (w *worker) run(ctx context.Context) {
	idle, failures := time.Duration(0), 0
	if w.relay.poller != nil {
		w.waitPolled(ctx, idle, nil)
	}
	for !w.relay.stops() {
		more, err := w.step(ctx)
		w.relay.store.explain(ctx, w.relay.db, &err)
		w.logError(err)
		w.alert.Store(err != nil || w.lease != nil)
		switch {
		case more:
			idle, failures = 0, 0
			if w.few {
				w.gather(ctx)
			}
			continue
		case err != nil:
			failures++
			idle = w.pauseAfter(failures, err)
		default:
			failures = 0
			idle = min(max(2*idle, firstIdle), w.relay.cfg.Poll)
		}
		woken := false
		if w.relay.poller != nil {
			woken = w.waitPolled(ctx, idle, err)
		} else {
			woken = !w.wait(ctx, idle)
		}
		if woken {
			idle = 0
		}
	}
	w.end(ctx)
	if w.relay.poller == nil {
		w.relay.unregister(ctx)
	}
}

// pauseAfter is how long to wait after a number of errors in a row.
func (w *worker) pauseAfter(failures int, err error) time.Duration {
	cfg := &w.relay.cfg
	var place *PlaceError
	switch {
	case w.relay.poller == nil:
		return cfg.Poll
	case errors.As(err, &place): // until an operator decides, which the poller sees
		return cfg.Lease
	}
	return backoff.After(failures, cfg.Poll, cfg.Lease/renewals)
}

// gather lets some entries come together before it looks again: under load each
// look would find one or two.
func (w *worker) gather(ctx context.Context) {
	const pause = 10 * time.Millisecond
	select {
	case <-ctx.Done():
	case <-w.relay.stopping:
	case <-w.relay.cfg.Clock.After(pause):
	}
}

// releaseTime is how long a worker that stops tries to give its lease back.
const releaseTime = 2 * time.Second

// end gives the lease back, also one whose cursor was dropped.
func (w *worker) end(ctx context.Context) {
	if w.since.IsZero() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	if err := w.relay.store.release(ctx, w.relay.db, w.target.Name, w.relay.cfg.Holder); err != nil {
		w.relay.cfg.Log.Info("aftercommit: a lease could not be given back; it ends by itself",
			zap.String("forwarder", w.target.Name), zap.Error(err))
	}
	w.drop()
}

// step does what there is to do, once, and reports whether there is more.
func (w *worker) step(ctx context.Context) (more bool, err error) {
	if err = w.connect(ctx, w.relay.stopping); err != nil || w.conn == nil {
		return false, err
	}
	defer func() {
		if err == nil {
			w.disconnect(nil)
			return
		}
		if w.lease != nil && w.lease.over() != nil {
			err = w.lease.over() // of which the error is a consequence
		}
		w.readable = false
		w.drop() // to be read again
		w.disconnect(err)
	}()
	if err = w.relay.unaudited(ctx, w.conn); err != nil {
		return false, err
	}
	if err = w.checkChanges(ctx); err != nil {
		return false, err
	}
	if err = w.hold(ctx); err != nil || w.cursor == nil {
		return false, err
	}
	ctx, done := w.lease.guard(ctx)
	defer done()
	clock := w.relay.cfg.Clock
	if w.unwritten.wait(clock.Now()) > 0 {
		return false, nil
	}
	began := clock.Now()
	moved, err := w.takeOver(ctx)
	if err != nil {
		return false, err
	}
	if w.fresh.wait(began) == 0 {
		if more, err = w.stepFresh(ctx); err != nil {
			return false, err
		}
	}
	untold, err := w.recordGaps(ctx)
	if err != nil {
		return false, err
	}
	more = more || moved || untold
	now := clock.Now()
	w.owed = max(0, w.owed-now.Sub(began))
	if w.again.wait(now) > 0 || more && w.owed > 0 {
		return more, nil
	}
	again, err := w.stepDue(ctx)
	w.owed = dueShare * clock.Now().Sub(now)
	return more || again, err
}

// dueShare is how much longer new entries are worked on than those that are due, if both
// wait: else a few bad ones, each of which takes all the time of its call again and again,
// would have one good one between them each time.
const dueShare = 3

// rowLooks is how many times within a lease a target's row is looked for at most.
const rowLooks = 10

// registerAgain registers a target whose row is gone: what empties all tables for a
// test empties the relay's too, and nothing would be delivered any more. A retired
// one has its row still.
func (w *worker) registerAgain(ctx context.Context) (registered bool, err error) {
	s, name := w.relay.store, w.target.Name
	if w.row.missing = time.Since(w.row.looked) < w.relay.cfg.Lease/rowLooks; w.row.missing {
		return false, nil
	}
	w.row.looked = time.Now()
	there, retired, err := s.known(ctx, w.conn, name)
	if err != nil || there {
		w.warnRetired(retired)
		return false, wrap("look for its row", name, err)
	}
	if err := s.register(ctx, w.conn, name, Mark{}); err != nil {
		return false, err
	}
	w.relay.cfg.Log.Warn("aftercommit: a forwarder's row was deleted, so it is registered again and gets what is committed from now on: "+
		"leave the journal's tables out of what empties tables, or give it by relay.Store.Replay what was committed before",
		zap.String("forwarder", name))
	return true, nil
}

// warnRetired warns, once, that an operator has retired a forwarder of this program.
func (w *worker) warnRetired(retired bool) {
	if retired && !w.row.retired {
		w.relay.cfg.Log.Warn("aftercommit: a forwarder of this program was retired by relay.Store.Retire, so it gets nothing: "+
			"remove it from the program or, if that was a mistake, restart the program and give it by relay.Store.Replay what it has missed",
			zap.String("forwarder", w.target.Name))
	}
	w.row.retired = retired
}

func (w *worker) readDue(ctx context.Context) (err error) {
	s, now := w.relay.store, w.relay.cfg.Clock.Now()
	w.dueAt, err = w.store().nextDue(ctx, w.conn, w.target.Name)
	if err != nil || w.dueAt.Sub(now) <= clockTolerance {
		return err
	}
	// Times that a clock noted while it was ahead may be as far ahead as it was.
	moved := false
	err = w.fenced(ctx, func() (e error) {
		moved, e = s.repairFutureRetries(ctx, w.conn, w.target.Name, now)
		return e
	})
	if err == nil && moved {
		w.dueAt = now
	}
	return err
}

// stepFresh delivers what follows the cursor.
func (w *worker) stepFresh(ctx context.Context) (more bool, err error) {
	s, limit := w.store(), w.fresh.limit(w.relay.cfg.Batch)
	trailing := ""
	if w.target.Grace > 0 {
		ok := false
		if trailing, ok, err = s.d.aged(ctx, w.conn, &w.trail, w.relay.cfg.Clock.Now(), w.target.Grace); err != nil || !ok {
			return false, err
		}
	}
	if err = s.next(ctx, w.conn, w.cursor, &w.window, limit, trailing); err != nil || w.cursor.tick == "" {
		return false, err
	}
	batch, to, last := w.window.part(limit)
	w.few = limit == w.relay.cfg.Batch && len(batch) < limit/8
	n := w.distinct(batch)
	if n < len(batch) {
		batch, to, last = w.window.part(n)
	}
	if err = w.notifyLag(ctx, batch, trailing); err != nil {
		return false, err
	}
	s.arrange(batch)
	move := func(commits bool) (bool, error) {
		sweeps := w.target.Grace > 0 && last
		committed, e := s.advance(ctx, w.conn, w.cursor, to, last, commits && !sweeps)
		if e == nil && sweeps {
			e = s.sweep(ctx, w.conn, w.target.Name)
		}
		return committed, e
	}
	findProof := func(alone journal.Position, late bool) (bool, error) { return w.findProof(ctx, trailing, alone, late) }
	end, err := w.deliver(ctx, attempt{lane: &w.fresh, batch: batch, move: move, findProof: findProof})
	if err == nil && end == settled {
		w.cursor.moved(to, last)
		w.window.drop(n)
	}
	return end != suspended, err
}

// stepDue tries again what has failed.
func (w *worker) stepDue(ctx context.Context) (more bool, err error) {
	s, now := w.store(), w.relay.cfg.Clock.Now()
	if w.dueAt.IsZero() || w.dueAt.After(now) {
		return false, nil
	}
	if err = s.confirm(ctx, w.conn, w.cursor); err != nil {
		return false, err
	}
	if w.again.known == nil {
		w.again.known = make(documents)
	}
	due, gone, err := s.due(ctx, w.conn, w.target.Name, s.time(now), w.again.limit(w.relay.cfg.Batch), w.again.known)
	if err != nil {
		return false, err
	}
	if len(gone) > 0 {
		if err = w.discardGone(ctx, gone); err != nil {
			return false, err
		}
	}
	end := settled
	due = due[:w.distinct(due)]
	s.arrange(due)
	if len(due) > 0 {
		move := func(bool) (bool, error) { return false, s.confirm(ctx, w.conn, w.cursor) }
		// What fails without proof goes behind the others that are due, so that another
		// one is tried after the next pause.
		findProof := func(alone journal.Position, _ bool) (bool, error) {
			return false, w.fenced(ctx, func() error { return s.postpone(ctx, w.conn, w.target.Name, alone, now) })
		}
		end, err = w.deliver(ctx, attempt{lane: &w.again, batch: due, move: move, findProof: findProof})
		if err != nil {
			return false, err
		}
	}
	if w.again.plan.over() {
		w.again.known = nil
	}
	w.dueAt, err = s.nextDue(ctx, w.conn, w.target.Name)
	return end != suspended && len(due)+len(gone) > 0, err
}

// discardGone gives up what the journal does not have any more.
func (w *worker) discardGone(ctx context.Context, gone []due) error {
	now := w.relay.cfg.Clock.Now()
	verdicts := make([]verdict, len(gone))
	for i, d := range gone {
		verdicts[i] = verdict{at: d.at, id: d.id, failure: Failure{Reason: ReasonGone, Permanent: true, Err: errGone}, discard: true, next: now}
	}
	err := w.fenced(ctx, func() error { return w.relay.store.note(ctx, w.conn, w.target.Name, verdicts, now) })
	if err == nil {
		w.addGaps(verdicts)
		w.notifyVerdicts(verdicts)
	}
	return err
}

var errGone = errors.New("relay: the journal has no such entry any more")

func (w *worker) notify(n hooks.Notice) {
	n.Forwarder, n.Dispatch = w.target.Name, "async"
	if w.target.Grace > 0 { // it was called within Commit before
		n.Dispatch = "sync"
	}
	w.relay.cfg.Notify(n)
}

// logError logs an error unless it was logged since all was well.
func (w *worker) logError(err error) {
	w.setTrouble(err)
	now := w.relay.cfg.Clock.Now()
	quiet := err == nil || errors.Is(err, context.Canceled) || errors.Is(err, errLost) || errors.Is(err, errRanOut)
	var lack *lackError
	quiet = quiet || errors.As(err, &lack) && now.Sub(lack.since) < lackTime
	if quiet || !w.warned.fresh(now, err) {
		return
	}
	w.relay.cfg.Log.Warn("aftercommit: delivery waits", zap.String("forwarder", w.target.Name), zap.Error(err))
	var place *PlaceError
	if errors.As(err, &place) {
		w.notify(hooks.Notice{Kind: hooks.NoticeSuspended, Reason: "place", Err: err})
	}
}

// connect takes a connection, which must be given back by disconnect, unless stop is closed
// before one is free.
func (w *worker) connect(ctx context.Context, stop <-chan struct{}) error {
	if !w.relay.lender.acquire(ctx, stop) {
		return context.Cause(ctx)
	}
	conn, err := w.relay.db.Conn(ctx)
	if err != nil {
		w.relay.lender.release()
		return err
	}
	w.conn, w.leftover = conn, NothingLeft
	return nil
}

// disconnect gives the connection back after err, or closes it.
func (w *worker) disconnect(err error) {
	if w.conn == nil {
		return
	}
	w.relay.giveBack(w.conn, w.leftover, err)
	w.conn = nil
	w.relay.lender.release()
}

// reconnect gives the worker another connection: something may still use the one that it
// has, or wait in it for the next statement.
func (w *worker) reconnect(ctx context.Context) error {
	w.leftover = StillOpen
	w.disconnect(nil)
	return w.connect(ctx, nil)
}
