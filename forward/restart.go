package forward

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"go.uber.org/zap"
)

// restartRelay has the relay of this process, if there is one, followed by one that
// serves the forwarders that have just been attached too. Until then the old one stays
// in queue.relay, also while it stops: Drain looks there.
func (d *handler) restartRelay(ctx context.Context) {
	q := &d.queue
	old := d.running()
	if old == nil {
		return
	}
	stop, cancel := context.WithTimeout(ctx, closeTime)
	defer cancel()
	d.warnHalt(ctx, old.Stop(stop))
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.relay == old && !d.starter.isClosed() && d.hub.admit(d) {
		q.relay = d.newRelay(q.relayDB)
	}
}

// haltWorkers stops the Queue's workers for workAgain.
func (d *handler) haltWorkers(ctx context.Context) {
	if len(d.queue.given) == 0 {
		return
	}
	d.queue.restart()
	stop, cancel := context.WithTimeout(ctx, closeTime)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			d.warnHalt(ctx, fmt.Errorf("panic while the Queue's workers stop: %v", v))
		}
	}()
	d.warnHalt(ctx, d.stopWorkers(stop))
}

func (d *handler) warnHalt(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		d.log().Warn("aftercommit: the delivery is restarted for a forwarder that was left out, and what ran did not stop without an error: "+
			"if that forwarder gets nothing, restart this program",
			zap.String("driver", d.db.Driver), zap.Error(err))
	}
}

// workAgain starts the Queue's workers after haltWorkers, and reports whether it could.
// What it cannot do yet is logged, and is in the Status.
func (d *handler) workAgain(ctx context.Context, pool *sql.DB) bool {
	err := d.tryWork(ctx, pool)
	if err == nil {
		d.leftOut.waitFor(errLeftOut)
		d.queue.restarted()
		return true
	}
	if d.leftOut.waitFor(err) && ctx.Err() == nil {
		d.log().Warn("aftercommit: the Queue's workers of this process were stopped for a forwarder that was left out and cannot be started yet; that is tried again, "+
			"and jobs wait meanwhile", zap.String("driver", d.db.Driver), zap.Error(err))
	}
	return false
}

func (d *handler) tryWork(ctx context.Context, pool *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	switch {
	case len(d.queue.given) == 0:
		return nil
	case pool != nil:
		return d.runWorkers(ctx, pool)
	}
	return d.startWorkers(ctx)
}

// halted returns why the Queue's workers could not be started again, nil if they were.
func (d *handler) halted() error {
	if why := d.leftOut.waitsFor(); !errors.Is(why, errLeftOut) {
		return why
	}
	return nil
}

// restart has Drain wait for restarted.
func (q *queue) restart() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.restarting == nil {
		q.restarting = make(chan struct{})
	}
}

func (q *queue) restarted() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.restarting != nil {
		close(q.restarting)
		q.restarting = nil
	}
}

// awaitWorkers waits until the Queue's workers, if they are being restarted, work.
func (d *handler) awaitWorkers(ctx context.Context) error {
	d.queue.mu.Lock()
	restarting := d.queue.restarting
	d.queue.mu.Unlock()
	if restarting == nil {
		return nil
	}
	select {
	case <-restarting:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the Queue's workers are being restarted: %w", errors.Join(d.halted(), ctx.Err()))
	}
}
