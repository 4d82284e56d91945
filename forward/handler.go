package forward

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// handler is a Hub's work for one database.
type handler struct {
	hub     *Hub
	db      hooks.Database
	dialect dialect
	journal *journal.Journal // nil without one
	sinks   []*sink          // without those of queue.given

	// setup is held by the connection that attaches the forwarders.
	setup   chan struct{}
	started atomic.Bool
	asked   bool // made by Hub.Relay or Hub.Work, not for a database of the app
	// registered says, on SQLite, that the forwarders' cursors are committed.
	registered atomic.Bool

	// named is the Hub's logger with the name of the database, once that is known.
	named atomic.Pointer[zap.Logger]

	pending pending
	side    sidePool
	queue   queue
	starter starter
	leftOut starter // looks again at forwarders that are left out
	keeping keeping

	warnedUncaptured, warnedUnattributed atomic.Bool
}

var _ hooks.Handler = (*handler)(nil)

// Connect implements [hooks.Handler].
func (d *handler) Connect(ctx context.Context, conn *sql.DB) error {
	if d.journal != nil { // without one, nothing is asked of a server before the app does
		if err := d.nameLog(ctx, conn); err != nil {
			return err
		}
		if err := d.journal.Check(ctx, conn); err != nil {
			return d.failed(ctx, conn, err)
		}
	}
	if err := d.learnPlace(ctx, conn); err != nil {
		return d.failed(ctx, conn, err)
	}
	if d.started.Load() {
		return nil
	}
	if !d.enter(ctx) {
		return ctx.Err()
	}
	defer func() { <-d.setup }()
	if d.started.Load() {
		return nil
	}
	return d.failed(ctx, conn, d.start(ctx, conn))
}

// attach lets the forwarders look at their sinks. Those that have done so are
// not asked again when a later one fails the connection.
func (d *handler) attach(ctx context.Context, conn *sql.DB) error {
	for _, s := range d.allSinks() {
		a, ok := s.forwarder.(Attacher)
		if !ok || s.attached {
			continue
		}
		err := d.attachOne(ctx, conn, s, a)
		var permanent *PermanentError
		switch {
		case err == nil:
		case errors.As(err, &permanent):
			s.off.Store(true)
			d.log().Warn("aftercommit: a forwarder is left out: it cannot work with this database as it is",
				zap.String("driver", d.db.Driver), zap.String("forwarder", s.name()),
				zap.String("reason", permanent.Reason), zap.Error(err))
		default:
			return &attachError{s.name(), err}
		}
		s.attached = true
	}
	return nil
}

// attachError is the error of a forwarder's Attach, which may succeed later.
type attachError struct {
	forwarder string
	err       error
}

func (e *attachError) Error() string { return "forward: attach " + e.forwarder + ": " + e.err.Error() }

func (e *attachError) Unwrap() error { return e.err }

// attachOne calls Attach within the forwarder's timeout. While an abandoned call still
// runs it fails at once, so that the app's connections do not pile up behind it.
func (d *handler) attachOne(ctx context.Context, conn *sql.DB, s *sink, a Attacher) error {
	if s.breaker.left.Load() > 0 {
		return errors.New("an earlier call of Attach has not returned yet")
	}
	result, _ := d.callWithin(ctx, conn, s, nil, func(ctx context.Context) (r callResult) {
		defer func() {
			if v := recover(); v != nil {
				r.err = &panicError{v}
			}
			r.finished = true
		}()
		r.err = a.Attach(ctx, conn)
		tryOut(r.err)
		return r
	})
	return result.err
}

// logProcess says that a process which does nothing else has started.
func (d *handler) logProcess(message string, sinks []*sink) {
	if len(sinks) > 0 {
		d.log().Info(message, zap.String("driver", d.db.Driver), described(sinks))
	}
}

// described is the log's field of forwarders, and of how each is called.
func described(sinks []*sink) zap.Field {
	forwarders := make([]string, 0, len(sinks))
	for _, s := range sinks {
		state := Async.String()
		switch {
		case s.off.Load():
			state = "left out"
		case s.inCommit.Load():
			state = Sync.String()
		}
		forwarders = append(forwarders, s.name()+" ("+state+")")
	}
	return zap.Strings("forwarders", forwarders)
}

func (d *handler) logStart() {
	mode := hooks.Strict
	if d.db.Mode != nil {
		mode = d.db.Mode()
	}
	fs := []zap.Field{
		zap.String("driver", d.db.Driver), zap.Stringer("mode", mode),
		zap.String("capture", d.db.Capture), zap.Bool("journal", d.journal != nil), described(d.allSinks()),
	}
	if d.journal == nil {
		d.log().Warn("aftercommit: started without a journal: events are forwarded from memory, at most once; "+
			"they are lost if the process ends right after a commit, or a forwarder fails", fs...)
		return
	}
	d.log().Info("aftercommit: started", fs...)
}

// Flush implements [hooks.Handler]. Without a journal there is nothing to write,
// and the events come back with End. What a Queue is to deliver is enqueued.
func (d *handler) Flush(ctx context.Context, f hooks.Flush) (bool, error) {
	if d.journal == nil {
		return true, nil
	}
	if len(d.queue.given) > 0 {
		f.Final = nil // the jobs come last
	}
	if !d.hasSync() { // else what the server adds is for them
		f.Keep = nil
	}
	written, err := d.write(ctx, f)
	if err == nil && written {
		err = d.enqueue(ctx, f)
	}
	if err != nil {
		d.starter.kick() // a start may make what is missing
	}
	return written && err == nil, err
}

// stamp returns events that say which program wrote them, and where.
func (d *handler) stamp(events []hooks.Event) []hooks.Event {
	events = slices.Clone(events)
	for i := range events {
		e := &events[i]
		if e.Application == "" {
			e.Application = d.hub.application
		}
		if e.Host == "" {
			e.Host = d.hub.host
		}
	}
	return events
}
