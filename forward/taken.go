package forward

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// took notes what a sync forwarder has taken, for the relay to leave out.
func (d *handler) took(s *sink, ids []uuid.UUID) {
	q := &d.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.relay == nil && !d.catchesUp() {
		return
	}
	if q.taken == nil {
		q.taken = make(map[string][]uuid.UUID)
	}
	q.taken[s.name()] = append(q.taken[s.name()], ids...)
}

// settleTaken tells the relay now and then what sync forwarders have taken.
func (d *handler) settleTaken(db *sql.DB, stop <-chan struct{}, stopped chan<- struct{}) {
	defer close(stopped)
	tick := time.NewTicker(min(settleEvery, max(d.hub.grace/4, time.Millisecond)))
	defer tick.Stop()
	for {
		last := false
		select {
		case <-tick.C:
		case <-stop:
			last = true
		}
		if err := d.settleOnce(db); err != nil {
			d.log().Debug("aftercommit: what sync forwarders have taken could not be noted; the relay may deliver it again", zap.Error(err))
		}
		if last {
			return
		}
	}
}

func (d *handler) settleOnce(db *sql.DB) error {
	q := &d.queue
	q.mu.Lock()
	taken := q.taken
	q.taken = nil
	q.mu.Unlock()
	var errs []error
	for name, ids := range taken {
		const most = 1000
		for len(ids) > 0 {
			part := ids[:min(len(ids), most)]
			ids = ids[len(part):]
			ctx, cancel := context.WithTimeout(context.Background(), d.hub.timeout)
			errs = append(errs, q.store.Settle(ctx, db, name, part))
			cancel()
		}
	}
	return errors.Join(errs...)
}

// catchesUp reports whether the committing connection does the relay's work.
func (d *handler) catchesUp() bool {
	return d.queue.store != nil && d.db.Dialect == hooks.SQLite && d.hub.relayMode == RelayInProcess
}

// catchUp does, now and then, over the connection that has committed, what a
// relay would do beside the app: it delivers what sync forwarders have missed.
func (d *handler) catchUp(ctx context.Context, conn *sql.DB) {
	if !d.catchesUp() || len(d.sinks) == 0 {
		return
	}
	q, now := &d.queue, d.hub.now()
	q.mu.Lock()
	settle := len(q.taken) > 0 && now.Sub(q.settledAt) >= settleEvery
	look := now.Sub(q.caught) >= d.hub.grace/2
	if settle || look {
		q.settledAt = now
	}
	if look {
		q.caught = now
	}
	q.mu.Unlock()
	var err error
	if settle || look {
		err = d.settleOnce(conn)
	}
	if look && err == nil {
		var targets []relay.Target
		for _, s := range d.active() {
			if s.breaker.allows(now) {
				targets = append(targets, d.target(s))
			}
		}
		err = relay.CatchUp(ctx, q.store, conn, relay.Config{Targets: targets, Notify: d.Notify, Log: d.log()})
	}
	if err != nil {
		d.log().Debug("aftercommit: what sync forwarders have missed could not be looked for; it is tried again",
			zap.String("driver", d.db.Driver), zap.Error(err))
	}
}

// settleRest notes what was taken when the database is closed, where no relay
// does.
func (d *handler) settleRest() error {
	q := &d.queue
	q.mu.Lock()
	rest := len(q.taken) > 0
	q.mu.Unlock()
	if !rest || !d.catchesUp() {
		return nil
	}
	db, done, err := d.settleDB()
	if err != nil {
		return err
	}
	defer done()
	return d.settleOnce(db)
}
