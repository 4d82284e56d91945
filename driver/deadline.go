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

// outlast returns a context for what the driver has to finish although the app's
// may end: it ends by grace later than ctx does, and after limit at the latest,
// unless that is 0. SQLite has no network to wait for, and its drivers may report
// a statement that took effect as interrupted.
func (c *conn) outlast(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := func() bool { return true }
	if c.postgres() {
		stop = context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	}
	if limit > 0 {
		out, cancel = context.WithTimeout(out, limit)
	}
	return out, func() {
		stop()
		cancel()
	}
}

// unhurried is outlast for what the driver asks and sets.
func (c *conn) unhurried(ctx context.Context) (context.Context, context.CancelFunc) {
	return c.outlast(ctx, c.db.reg.cfg.writeTimeout)
}

// afterwards returns a context for writing the events of what has happened
// already: that the app's has ended must not cost them.
func (c *conn) afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), c.db.reg.cfg.writeTimeout+margin)
}
