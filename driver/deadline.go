package driver

import (
	"context"
	"time"
)

const (
	// margin is how much later than the handler's write timeout the driver gives
	// up, so that the server's own error comes first.
	margin = 2 * time.Second
	// grace is how much longer than the app's context the driver's own statements
	// may take: a COMMIT that is under way is worth waiting for, because its
	// answer is the outcome, but not on a network that is dead.
	grace = time.Second
)

// outlast returns a context for what the driver has to finish even if the app's
// context ends. Except on SQLite it ends grace after ctx does, or grace after this
// call if ctx has ended already, and with the same error; if ctx is cancelled in the
// first moments, up to followAfter later. It ends after limit at the latest, unless that
// is 0. On SQLite only limit counts: there is no network to wait for, and drivers may
// report a statement that took effect as interrupted.
//
// done must be called once. It does not end the context: what waits for that in a
// goroutine may wait until the connection is closed.
func (q *querier) outlast(ctx context.Context, limit time.Duration) (out context.Context, done func()) {
	follows := ctx.Done() != nil && !q.is.local
	if limit == 0 && !follows {
		if ctx.Done() != nil {
			ctx = context.WithoutCancel(ctx)
		}
		return ctx, func() {}
	}
	now := time.Now()
	var last time.Time
	if limit > 0 {
		last = now.Add(limit)
	}
	if deadline, timed := ctx.Deadline(); timed && follows {
		if deadline.Before(now) {
			deadline = now
		}
		if deadline = deadline.Add(grace); last.IsZero() || deadline.Before(last) {
			last = deadline
		}
	}
	t, app := q.terms.take(), ctx
	if !follows {
		app = nil
	}
	t.begin(app, now, last)
	return &termed{Context: t.ctx, values: ctx, term: t, last: last}, t.stop
}

// endNow ends a context of outlast that may still be in use.
func endNow(ctx context.Context) {
	if c, ok := ctx.(*termed); ok {
		c.term.abandon()
	}
}

// unhurried is outlast for the driver's own queries and settings, limited by the
// write timeout.
func (q *querier) unhurried(ctx context.Context) (context.Context, context.CancelFunc) {
	return q.outlast(ctx, q.cfg.writeTimeout)
}

// afterwards returns a context for writing the events of what has happened already. They must
// not be lost because the app's context has ended.
func (q *querier) afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), q.cfg.writeTimeout+margin)
}
