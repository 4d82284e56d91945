package forward

import (
	"context"
	"database/sql"
	"errors"
	"slices"
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
	if !d.notes() {
		return
	}
	if q.taken == nil {
		q.taken = make(map[string][]uuid.UUID)
	}
	q.taken[s.name()] = append(q.taken[s.name()], ids...)
}

// notes reports whether it is noted what sync forwarders do, with queue.mu held. A
// relay elsewhere is another role's.
func (d *handler) notes() bool { return d.queue.relay != nil || d.catchesUp() }

// refusedFor notes what a sync forwarder has refused for good, so that the relay
// does not try it again, and reports whether that can be noted.
func (d *handler) refusedFor(n hooks.Notice) bool {
	q := &d.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if !d.notes() {
		return false
	}
	if q.refused == nil {
		q.refused = make(map[string][]relay.Refusal)
	}
	for _, id := range n.Events {
		q.refused[n.Forwarder] = append(q.refused[n.Forwarder],
			relay.Refusal{ID: id, Failure: relay.Failure{Reason: n.Reason, Permanent: true, Err: n.Err}})
	}
	return true
}

// unnoted reports whether there is something to note, with queue.mu held.
func (q *queue) unnoted() bool { return len(q.taken)+len(q.refused) > 0 }

// settleTaken notes now and then, for the relay, what sync forwarders have taken.
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
	taken, refused := q.taken, q.refused
	q.taken, q.refused = nil, nil
	q.mu.Unlock()
	var errs []error
	note := func(f func(context.Context) error) {
		ctx, cancel := context.WithTimeout(context.Background(), d.hub.timeout)
		defer cancel()
		errs = append(errs, f(ctx))
	}
	const most = 1000
	for name, ids := range taken {
		for part := range slices.Chunk(ids, most) {
			note(func(ctx context.Context) error { return q.store.Settle(ctx, db, name, part) })
		}
	}
	for name, all := range refused {
		for part := range slices.Chunk(all, most) {
			note(func(ctx context.Context) error { return q.store.Refuse(ctx, db, name, part) })
		}
	}
	return errors.Join(errs...)
}

// catchesUp reports whether the committing connection does the relay's work.
func (d *handler) catchesUp() bool {
	return d.relayStore() != nil && d.db.Dialect == hooks.SQLite && d.hub.relayMode == RelayInProcess
}

// catchUp does, now and then, over the connection that has committed, what a
// relay would do beside the app: it delivers what sync forwarders have missed.
func (d *handler) catchUp(ctx context.Context, conn *sql.DB) {
	if !d.catchesUp() || len(d.sinks) == 0 {
		return
	}
	q, now := &d.queue, d.hub.now()
	q.mu.Lock()
	settle := q.unnoted() && now.Sub(q.settledAt) >= settleEvery
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
	rest := q.unnoted()
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
