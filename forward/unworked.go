package forward

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// UnworkedQueue is a [Queue] that knows which jobs no process works, so that a warning says
// so: nothing else would. It is asked once a minute where workers run, and at the start of
// an app whose workers are elsewhere.
type UnworkedQueue interface {
	Queue
	// Unworked returns the forwarders whose jobs have waited for a while in which no
	// process has worked them; none if the role may not see it.
	Unworked(ctx context.Context, db *sql.DB, dialect hooks.Dialect) ([]string, error)
}

const (
	unworkedEvery = time.Minute
	unworkedTime  = 30 * time.Second
)

// watchUnworked looks for jobs that no process works until stop is called, which returns
// once it uses db no more, or its ctx ends.
func (d *handler) watchUnworked(db *sql.DB) (stop func(context.Context)) {
	q, ok := d.hub.external.(UnworkedQueue)
	if !ok {
		return func(context.Context) {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		var warned map[string]bool
		for ctx.Err() == nil {
			warned = d.lookForUnworked(ctx, q, db, warned)
			select {
			case <-ctx.Done():
			case <-time.After(unworkedEvery):
			}
		}
	}()
	return func(ctx context.Context) {
		cancel()
		select {
		case <-done:
		case <-ctx.Done():
		}
	}
}

// lookForUnworked warns of each forwarder of which the last look has not, and returns those
// that it has found.
func (d *handler) lookForUnworked(ctx context.Context, q UnworkedQueue, db *sql.DB, warned map[string]bool) map[string]bool {
	ctx, cancel := context.WithTimeout(ctx, unworkedTime)
	defer cancel()
	names, err := unworkedOf(ctx, q, db, d.db.Dialect)
	if err != nil {
		d.log().Debug("aftercommit: jobs that no process works could not be looked for", zap.String("driver", d.db.Driver), zap.Error(err))
		return warned
	}
	found := make(map[string]bool, len(names))
	for _, name := range names {
		found[name] = true
		if !warned[name] {
			d.log().Warn("aftercommit: jobs of this forwarder wait, and no process works them: register it in a process that calls Hub.Work (or start the program that works them); if it is no longer used, delete its jobs",
				zap.String("driver", d.db.Driver), zap.String("forwarder", name))
		}
	}
	return found
}

// unworkedOf is q.Unworked, whose panic is an error: it is called beside the app.
func unworkedOf(ctx context.Context, q UnworkedQueue, db *sql.DB, dialect hooks.Dialect) (names []string, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic of the Queue: %v", v)
		}
	}()
	return q.Unworked(ctx, db, dialect)
}
