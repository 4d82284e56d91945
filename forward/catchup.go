package forward

import (
	"context"
	"database/sql"
	"time"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// A Commit of the app does a share of what others have left behind. Once shareTime is
// over it begins nothing more, so only what it has begun last can take longer: one look
// into the journal and one call of a sink, each within its timeout.
const (
	shareTime = 100 * time.Millisecond
	// settledPerEnd is how many transactions that wait for a connection it settles.
	settledPerEnd = 4
	// shareBatches are delivered of what sync forwarders have missed, each of at most
	// shareBatch entries.
	shareBatches = 10
	shareBatch   = 50
)

// catchUpState is how far commits are with what sync forwarders have missed.
type catchUpState struct {
	looked  time.Time // when one last looked for it
	noted   time.Time // when one last noted what they accepted
	running bool      // one is looking
	left    bool      // the next one is to go on
	known   bool      // the Hub knows of the database
	turn    int       // whose sink comes first
}

// share does a Commit's share over its connection.
func (d *handler) share(ctx context.Context, conn hooks.Conn) {
	until := d.hub.now().Add(shareTime)
	if d.settleSome(ctx, conn, until) {
		d.catchUp(ctx, conn, until)
	}
}

// catchesUp reports whether committing connections do the relay's work.
func (d *handler) catchesUp() bool {
	return d.queue.store != nil && d.dialect.local() && d.hub.relayMode == RelayInProcess
}

// catchUp delivers what sync forwarders have missed, over the connection that has just
// committed: without a relay beside the app, commits do its work. It looks once in half
// a grace period at most, but with each commit while something is left.
func (d *handler) catchUp(ctx context.Context, lent hooks.Conn, until time.Time) {
	if !d.catchesUp() || len(d.sinks) == 0 {
		return
	}
	now := d.hub.now()
	acknowledge, look := d.claim(now)
	left := look
	defer func() { d.release(look, left) }()
	if !acknowledge && !look || !now.Before(until) {
		return
	}
	longest := d.hub.timeout
	for _, s := range d.sinks {
		longest = max(longest, s.timeout)
	}
	ctx, cancel := context.WithTimeout(ctx, shareTime+longest+returnTime)
	defer cancel()
	conn := lent.DB()
	err := d.acknowledgeOnce(ctx, conn)
	if look && err == nil {
		left, err = d.catchUpOnce(ctx, conn, relay.Share{Steps: shareBatches, Time: max(until.Sub(d.hub.now()), 1)})
	}
	if err != nil {
		d.log().Debug("aftercommit: what sync forwarders have missed could not be looked for; it is tried again",
			zap.String("driver", d.db.Driver), zap.Error(err))
	}
}

// claim reports whether this commit is to note what sync forwarders have accepted, and
// whether it is to look for what they have missed, which one commit at a time does.
func (d *handler) claim(now time.Time) (acknowledge, look bool) {
	d.queue.mu.Lock()
	defer d.queue.mu.Unlock()
	c := &d.queue.catchUp
	if !c.known {
		c.known = true
		d.hub.keep(d) // for Settle
	}
	acknowledge = d.queue.notes.some() && now.Sub(c.noted) >= acknowledgeEvery
	look = !c.running && (c.left || now.Sub(c.looked) >= d.hub.grace/2)
	if acknowledge || look {
		c.noted = now
	}
	if look {
		c.looked, c.running = now, true
	}
	return acknowledge, look
}

// release ends what claim has begun.
func (d *handler) release(looked, left bool) {
	if !looked {
		return
	}
	d.queue.mu.Lock()
	defer d.queue.mu.Unlock()
	c := &d.queue.catchUp
	c.running, c.left = false, left
	c.turn++
}

// catchUpOnce delivers a share of what sync forwarders have missed. They take turns to
// come first, so that one that is slow does not use up every share.
func (d *handler) catchUpOnce(ctx context.Context, conn *sql.DB, share relay.Share) (left bool, err error) {
	d.queue.mu.Lock()
	turn := d.queue.catchUp.turn
	d.queue.mu.Unlock()
	now, all := d.hub.now(), d.active()
	var targets []relay.Target
	for i := range all {
		if s := all[(i+turn)%len(all)]; s.breaker.allows(now) {
			targets = append(targets, d.target(s))
		}
	}
	cfg := relay.Config{Targets: targets, Notify: d.Notify, Log: d.log(), Memory: &d.queue.memory}
	if share.Steps > 0 {
		cfg.Batch = shareBatch
	}
	return relay.CatchUp(ctx, d.queue.store, conn, cfg, share)
}

// behind reports whether sync forwarders may have missed something that only commits
// would deliver.
func (d *handler) behind() bool {
	d.queue.mu.Lock()
	defer d.queue.mu.Unlock()
	return d.queue.catchUp.known && d.catchesUp()
}

// catchUpAll delivers all that sync forwarders have missed.
func (d *handler) catchUpAll(ctx context.Context, db *sql.DB) error {
	if !d.behind() {
		return nil
	}
	err := d.acknowledgeOnce(ctx, db)
	if err == nil {
		_, err = d.catchUpOnce(ctx, db, relay.Share{})
	}
	return err
}
