package forward

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/internal/backoff"
)

var errLeftOut = errors.New("a forwarder is left out")

// hasLeftOut reports whether a forwarder is left out.
func (d *handler) hasLeftOut() bool {
	return slices.ContainsFunc(d.allSinks(), func(s *sink) bool { return s.off.Load() })
}

// lookAgain tries to attach the forwarders that are left out until none is: an operator
// may make the tables or grant the rights that they lack. pool is that of Hub.Relay or
// Hub.Work; beside an app it is nil, and each attempt opens a connection.
func (d *handler) lookAgain(pool *sql.DB) {
	if !d.hasLeftOut() || pool == nil && !d.canTryAgain() || !d.hub.admit(d) {
		return
	}
	ctx, done := d.leftOut.launch(errLeftOut)
	if ctx == nil {
		return
	}
	go func() {
		defer done()
		defer d.queue.restarted()
		due := false // the Queue's workers do not serve yet what is attached
		for n := 1; d.leftOut.rest(ctx, backoff.After(n, firstPause, lastPause)) && (due || d.hasLeftOut()); n++ {
			if d.attachAgain(ctx, pool) {
				d.restartRelay(ctx)
				d.haltWorkers(ctx)
				due, n = true, 0 // the other forwarders wait too
			}
			due = due && !d.workAgain(ctx, pool)
		}
	}()
}

// attachAgain tries once, and reports whether a forwarder was attached.
func (d *handler) attachAgain(ctx context.Context, pool *sql.DB) (attached bool) {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	if pool == nil {
		pool = sql.OpenDB(d.beside())
		pool.SetMaxOpenConns(1)
		defer func() { _ = pool.Close() }() // its errors are those of the calls before
	}
	select {
	case d.setup <- struct{}{}:
		defer func() { <-d.setup }()
	default:
		return false // a connection of the app's is starting
	}
	for _, s := range d.allSinks() {
		a, ok := s.forwarder.(Attacher)
		if !ok || !s.off.Load() || d.attachOne(ctx, pool, s, a) != nil {
			continue
		}
		s.off.Store(false)
		attached = true
		d.log().Info("aftercommit: a forwarder that was left out is attached",
			zap.String("driver", d.db.Driver), zap.String("forwarder", s.name()))
	}
	return attached
}
