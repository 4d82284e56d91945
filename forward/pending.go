package forward

import (
	"context"
	"sync"
	"time"
	"unsafe"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/backoff"
	"github.com/go-aftercommit/aftercommit/internal/eventsize"
)

const (
	// maxPending is how many transactions of a database may wait in memory, and
	// maxPendingBytes how much they may take there, as estimated. Further
	// ones stay in the journal and are reported as discarded.
	maxPending      = 1000
	maxPendingBytes = 32 << 20
	// An outcome that was not known is looked for again after firstWait, then with a
	// backoff up to lastWait.
	firstWait = time.Second
	lastWait  = time.Minute
)

// later sets when b is due again.
func (b *batch) later(now time.Time) {
	b.looks++
	b.due = now.Add(backoff.After(b.looks, firstWait, lastWait))
}

// What a batch takes beside its events: itself, and what is made of an event while it is
// forwarded, or when the limit was reached.
const (
	batchBytes = int(unsafe.Sizeof(batch{}) + unsafe.Sizeof(hooks.Write{}))
	entryBytes = int(unsafe.Sizeof(journal.Entry{}) + unsafe.Sizeof(uuid.UUID{}))
)

// size estimates what b takes in memory, in bytes. Without a journal it has entries instead of
// writes; of what was written it has both for a while, with the same texts.
func (b *batch) size() int {
	n := batchBytes + len(b.ids)*int(unsafe.Sizeof(uuid.UUID{}))
	for i := range b.writes {
		for j := range b.writes[i].Events {
			n += entryBytes + eventsize.Of(&b.writes[i].Events[j])
		}
	}
	if len(b.writes) == 0 {
		for i := range b.entries {
			n += entryBytes + eventsize.Of(&b.entries[i].Event)
		}
	}
	return n
}

// pending are the batches that wait for a connection. The zero value is empty.
type pending struct {
	mu      sync.Mutex
	batches []*batch
	bytes   int // of them
}

func (p *pending) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.batches)
}

// add reports false if there is no room.
func (p *pending) add(b *batch) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	b.bytes = b.size()
	if len(p.batches) >= maxPending || len(p.batches) > 0 && p.bytes+b.bytes > maxPendingBytes {
		return false
	}
	p.batches = append(p.batches, b)
	p.bytes += b.bytes
	return true
}

// take removes up to n batches, oldest first, that are due.
func (p *pending) take(n int, now time.Time) []*batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	var taken []*batch
	rest := p.batches[:0]
	for _, b := range p.batches {
		if len(taken) < n && !b.due.After(now) {
			taken = append(taken, b)
			p.bytes -= b.bytes
		} else {
			rest = append(rest, b)
		}
	}
	clear(p.batches[len(rest):])
	p.batches = rest
	return taken
}

// postpone keeps b until there is a connection for it.
func (d *handler) postpone(b *batch) {
	if d.journal != nil {
		b.entries = nil // learn builds them again from the writes
	}
	if !d.pending.add(b) {
		d.Notify(hooks.Notice{Kind: hooks.NoticeDiscarded, Events: b.ids, Reason: "pending_overflow"})
		return
	}
	d.hub.keep(d)
}

// settleSome settles what waits for a connection, now that there is one. It stops, and reports
// false, at the first batch that it cannot finish over conn, or once until has passed.
func (d *handler) settleSome(ctx context.Context, conn hooks.Conn, until time.Time) (serves bool) {
	for range settledPerEnd {
		now := d.hub.now()
		if !now.Before(until) {
			return false
		}
		some := d.pending.take(1, now)
		if len(some) == 0 {
			return true
		}
		b := some[0]
		b.until, b.hung = until, false
		done, err := d.advance(ctx, conn.DB(), b, false)
		hung := b.hung
		if !done {
			d.putBack(b)
		}
		if err != nil || hung || !done && b.outcome != hooks.Unknown {
			return false
		}
	}
	return true
}

// putBack postpones b that conn did not finish: its transaction is not over, or
// a forwarder was left behind.
func (d *handler) putBack(b *batch) {
	b.later(d.hub.now())
	d.postpone(b)
}

// settleAll tries each pending batch once, due or not, and delivers what sync
// forwarders have missed, where no relay does.
func (d *handler) settleAll(ctx context.Context) error {
	all := d.pending.take(maxPending, d.hub.now().Add(lastWait))
	if len(all) == 0 && !d.behind() {
		return nil
	}
	db, done, err := d.settleDB()
	if err != nil {
		for _, b := range all {
			d.postpone(b)
		}
		return err
	}
	defer done()
	for i, b := range all {
		b.until = time.Time{}
		ok, err := d.advance(ctx, db, b, false)
		if !ok {
			d.putBack(b)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			for _, rest := range all[i+1:] {
				d.postpone(rest)
			}
			return err
		}
	}
	return d.catchUpAll(ctx, db)
}
