package driver

import (
	"context"
	"errors"
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
// call if ctx has ended already, and with the same error. It ends after limit at
// the latest, unless that is 0. On SQLite only limit counts: there is no network
// to wait for, and drivers may report a statement that took effect as interrupted.
func (q *querier) outlast(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	out, follows := ctx, false
	if ctx.Done() != nil {
		out, follows = context.WithoutCancel(ctx), !q.is.local
	}
	var last time.Time
	if limit > 0 {
		last = time.Now().Add(limit)
	}
	deadline, timed := ctx.Deadline()
	if timed = timed && follows; timed {
		if now := time.Now(); deadline.Before(now) {
			deadline = now
		}
		if deadline = deadline.Add(grace); last.IsZero() || deadline.Before(last) {
			last = deadline
		}
	}
	cancel := func() {}
	switch {
	case !last.IsZero():
		out, cancel = context.WithDeadline(out, last)
	case follows:
		out, cancel = context.WithCancel(out)
	}
	if !follows {
		return out, cancel
	}
	end := cancel
	stop := context.AfterFunc(ctx, func() {
		if !timed || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			time.AfterFunc(grace, end)
		}
	})
	return out, func() {
		stop()
		end()
	}
}

// unhurried is outlast for the driver's own queries and settings, limited by the
// write timeout.
func (q *querier) unhurried(ctx context.Context) (context.Context, context.CancelFunc) {
	return q.outlast(ctx, q.cfg.writeTimeout)
}

// afterwards returns a context for writing the events of what has happened
// already: that the app's has ended must not cost them.
func (q *querier) afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), q.cfg.writeTimeout+margin)
}
