package forward

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// syncNotes are what sync forwarders have done that the relay does not know yet, by their names.
type syncNotes struct {
	accepted map[string][]journal.Position // to be acknowledged
	refused  map[string][]relay.Refusal    // for good, to be discarded
	n        int                           // how many there are of both
}

// maxNotes is how many wait in memory at most, as where the server refuses connections to the
// relay. What is not noted the relay delivers, perhaps for the second time.
const maxNotes = 200_000

// room returns how many of so many more there is room for, and counts these.
func (n *syncNotes) room(more int) int {
	more = min(more, maxNotes-n.n)
	n.n += more
	return more
}

// some reports whether there are any.
func (n *syncNotes) some() bool { return n.n > 0 }

// noteAccepted notes what a sync forwarder has accepted, so that the relay leaves it out.
func (d *handler) noteAccepted(s *sink, entries []journal.Entry) {
	q := &d.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if !d.takesNotes() {
		return
	}
	if q.notes.accepted == nil {
		q.notes.accepted = make(map[string][]journal.Position)
	}
	for i := range q.notes.room(len(entries)) {
		q.notes.accepted[s.name()] = append(q.notes.accepted[s.name()], entries[i].Position)
	}
}

// takesNotes reports whether this process notes what sync forwarders have done. The caller
// holds queue.mu. With RelayElsewhere the tables for it may be another role's.
func (d *handler) takesNotes() bool { return d.queue.stop != nil || d.catchesUp() }

// noteRefused notes the entries that a sync forwarder has refused for good, so that the relay
// does not try them again, and reports whether that can be noted.
func (d *handler) noteRefused(n hooks.Notice, entries []journal.Entry) bool {
	q := &d.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if !d.takesNotes() {
		return false
	}
	if q.notes.refused == nil {
		q.notes.refused = make(map[string][]relay.Refusal)
	}
	for i := range q.notes.room(len(entries)) {
		q.notes.refused[n.Forwarder] = append(q.notes.refused[n.Forwarder],
			relay.Refusal{Position: entries[i].Position, ID: entries[i].ID, Failure: relay.Failure{Reason: n.Reason, Permanent: true, Err: n.Err}})
	}
	return true
}

// acknowledgeAccepted acknowledges to the relay, every second or so, what sync forwarders have
// accepted.
func (d *handler) acknowledgeAccepted(db *sql.DB, stop <-chan struct{}, stopped chan<- struct{}) {
	defer close(stopped)
	tick := time.NewTicker(min(acknowledgeEvery, max(d.hub.grace/4, time.Millisecond)))
	defer tick.Stop()
	for {
		last := false
		select {
		case <-tick.C:
		case <-stop:
			last = true
		}
		if err := d.acknowledgeNow(db); err != nil {
			d.log().Debug("aftercommit: what sync forwarders have accepted could not be noted; the relay may deliver it again", zap.Error(err))
		}
		if last {
			return
		}
	}
}

// acknowledgeNow is acknowledgeOnce over a connection of the relay's pool, if there is anything
// to note.
func (d *handler) acknowledgeNow(db *sql.DB) error {
	d.queue.mu.Lock()
	some := d.queue.notes.some()
	d.queue.mu.Unlock()
	if !some {
		return nil
	}
	ctx := context.Background()
	limited, cancel := context.WithTimeout(ctx, d.hub.timeout)
	defer cancel()
	conn, err := db.Conn(limited) // else what was accepted is forgotten
	if err != nil {
		return err
	}
	return relay.LendOnce(conn, func(one *sql.DB) error { return d.acknowledgeOnce(ctx, one) })
}

func (d *handler) acknowledgeOnce(ctx context.Context, db *sql.DB) error {
	q := &d.queue
	q.mu.Lock()
	n := q.notes
	q.notes = syncNotes{}
	q.mu.Unlock()
	var errs []error
	note := func(f func(context.Context) error) {
		limited, cancel := context.WithTimeout(ctx, d.hub.timeout)
		defer cancel()
		errs = append(errs, f(limited))
	}
	const most = 1000
	for name, all := range n.accepted {
		for part := range slices.Chunk(all, most) {
			note(func(ctx context.Context) error { return q.store.Acknowledge(ctx, db, name, part) })
		}
	}
	for name, all := range n.refused {
		for part := range slices.Chunk(all, most) {
			note(func(ctx context.Context) error { return q.store.Refuse(ctx, db, name, part) })
		}
	}
	return errors.Join(errs...)
}

// acknowledgeRest notes what was accepted when the database is closed, where no relay
// does.
func (d *handler) acknowledgeRest() error {
	q := &d.queue
	q.mu.Lock()
	rest := q.notes.some()
	q.mu.Unlock()
	if !rest || !d.catchesUp() {
		return nil
	}
	db, done, err := d.settleDB()
	if err != nil {
		return err
	}
	defer done()
	return d.acknowledgeOnce(context.Background(), db)
}
