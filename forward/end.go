package forward

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// batch is the events of one transaction on their way to the forwarders.
type batch struct {
	// writes are its flushes, of which something may stand. Their events are kept: the database
	// is asked only what it has added.
	writes  []hooks.Write
	ids     []uuid.UUID
	outcome hooks.Outcome
	// maybeFree is hooks.Ended.MaybeWriteFree.
	maybeFree bool
	// entries are what is to be forwarded, once that is known.
	entries []journal.Entry
	// sinks are those that have not been called yet.
	sinks []*sink
	// until, if it is not zero, is when to stop calling further sinks: then another
	// commit is doing this batch's work.
	until time.Time
	// hung says that a call was abandoned, which may still be using the connection.
	hung bool
	// notified is set once observers were notified of what was logged.
	notified bool
	// looks counts those that have not found the outcome; due is when to look again.
	looks int
	due   time.Time
	// bytes is what pending counts it for.
	bytes int
}

// End implements [hooks.Handler]. For its own events it takes at most the timeout of a
// look into the journal and those of the sync forwarders; for what others have left
// behind, its share: see [handler.share].
func (d *handler) End(ctx context.Context, end hooks.Ended) hooks.Outcome {
	// The transaction has ended, so the end of its context must not stop the delivery.
	if ctx.Done() != nil {
		ctx = context.WithoutCancel(ctx)
	}
	b := &batch{writes: end.Writes, ids: idsOf(end.Events), outcome: end.Outcome, maybeFree: end.MaybeWriteFree, sinks: d.syncSinks()}
	done := true
	switch {
	case end.Outcome == hooks.RolledBack:
		d.notifyIDs(hooks.NoticeRolledBack, b.ids, "")
	case d.journal == nil:
		done = d.endFromMemory(ctx, end, b)
	case end.Outcome == hooks.Committed:
		done = d.endCommitted(ctx, end.Conn, b)
	default:
		done = d.endUnknown(ctx, end, b)
	}
	if b.outcome == hooks.Committed {
		d.changedSchema(end.Events)
	}
	if end.Outcome == hooks.Committed && done {
		d.registered.Store(true) // in the flush of these events, or before
		d.sayNew()
	}
	if !done {
		d.postpone(b)
	} else if end.Conn != nil && !b.hung {
		d.share(ctx, end.Conn)
	}
	return b.outcome
}

func (d *handler) endFromMemory(ctx context.Context, end hooks.Ended, b *batch) (done bool) {
	if end.Outcome == hooks.Unknown {
		d.notifyIDs(hooks.NoticeDiscarded, b.ids, reasonNeverKnown)
		return true
	}
	d.notifyIDs(hooks.NoticeLogged, b.ids, "")
	now := d.hub.now().UTC()
	// Not all need to have been flushed: MySQL commits implicitly.
	row := journal.Row{Key: hooks.NewID(), Tx: journal.TxKey{ID: end.Tx, StartedAt: now}, RecordedAt: now}
	b.entries = row.EntriesOf(d.stamp(end.Events), 0)
	return len(b.sinks) == 0 || d.forward(ctx, d.usable(end.Conn), b)
}

func (d *handler) endCommitted(ctx context.Context, conn hooks.Conn, b *batch) (done bool) {
	if len(b.sinks) == 0 {
		d.notifyIDs(hooks.NoticeLogged, b.ids, "")
		d.enqueued(b.ids)
		return true
	}
	if rows := keptRows(b.writes); rows != nil {
		d.learn(b, rows)
		return d.forward(ctx, d.usable(conn), b)
	}
	// The committing connection is on the server that committed; another may
	// be on a standby that has not replayed the commit yet.
	done, err := d.advance(ctx, d.usable(conn), b, conn != nil)
	if err != nil {
		d.log().Warn("aftercommit: what the database added to committed events could not be read; they are forwarded later",
			zap.String("driver", d.db.Driver), zap.Error(err))
	}
	return done
}

func (d *handler) endUnknown(ctx context.Context, end hooks.Ended, b *batch) (done bool) {
	var err error
	if end.Conn != nil && !end.Prepared {
		done, err = d.advance(ctx, end.Conn.DB(), b, false)
	}
	if !done && b.outcome == hooks.Unknown {
		n := hooks.Notice{Kind: hooks.NoticeUnknown, Events: b.ids, Err: err}
		if end.Prepared {
			n.Reason = "prepared"
		}
		d.Notify(n)
		if end.Conn != nil {
			b.later(d.hub.now()) // the next connection would see no more than this one
		}
	}
	return done
}

// keptRows returns the rows of writes, nil unless each flush has heard what the database has
// added to it, and stands.
func keptRows(writes []hooks.Write) []journal.Row {
	rows := make([]journal.Row, 0, len(writes))
	for i := range writes {
		row, ok := writes[i].Kept.(journal.Row)
		if !ok {
			return nil
		}
		rows = append(rows, row)
	}
	return rows
}

// usable returns the database of conn or, without one, the side pool where there can be one.
func (d *handler) usable(conn hooks.Conn) *sql.DB {
	switch {
	case conn != nil:
		return conn.DB()
	case len(d.sinks) == 0:
		return nil
	}
	// Without one, the batch waits for the next connection.
	db, _ := d.sideDB()
	return db
}

// advance takes b as far as conn allows and reports whether it is done. trusted
// says that conn is the one that committed. The error is that of reading the journal;
// observers are notified of those of forwarders.
func (d *handler) advance(ctx context.Context, conn *sql.DB, b *batch, trusted bool) (done bool, err error) {
	if conn == nil {
		return false, nil
	}
	if b.entries == nil {
		over, rows, err := d.look(ctx, conn, b, trusted)
		if err != nil || !over {
			return false, err
		}
		d.learn(b, rows)
	}
	return d.forward(ctx, conn, b), nil
}

// look asks which of b's flushes are in the journal, if its transaction is over, and what the
// database has added to them. It stops waiting for a driver that ignores its context.
func (d *handler) look(ctx context.Context, conn *sql.DB, b *batch, trusted bool) (over bool, rows []journal.Row, err error) {
	type answer struct {
		over bool
		rows []journal.Row
		err  error
	}
	keys := make([]uuid.UUID, len(b.writes))
	for i := range b.writes {
		keys[i] = b.writes[i].Key
	}
	got, ok := bounded(ctx, d.hub.timeout, func(ctx context.Context) (a answer) {
		found := journal.ClaimWritten
		if !trusted {
			found, a.err = d.journal.Claim(ctx, conn, keys)
		}
		if found == journal.ClaimWritten && a.err == nil {
			a.rows, a.err = d.journal.Written(ctx, conn, keys)
		}
		if d.unmade(ctx, conn, a.err) {
			a.err, found = nil, journal.ClaimNever
		}
		a.over = found != journal.ClaimOpen && a.err == nil
		return a
	})
	if !ok {
		return false, nil, errors.New("forward: the database did not answer in time")
	}
	return got.over, got.rows, got.err
}

// learn records which of b's events are in the journal: the others were rolled back.
func (d *handler) learn(b *batch, rows []journal.Row) {
	var entries []journal.Entry
	for _, w := range b.writes {
		i := slices.IndexFunc(rows, func(r journal.Row) bool { return r.Key == w.Key })
		if i >= 0 {
			entries = append(entries, rows[i].EntriesOf(d.stamp(w.Events), w.First)...)
		}
	}
	found := make(map[uuid.UUID]bool, len(entries))
	for i := range entries {
		found[entries[i].ID] = true
	}
	var here, gone []uuid.UUID
	for _, id := range b.ids {
		if found[id] {
			here = append(here, id)
		} else {
			gone = append(gone, id)
		}
	}
	switch unknown := b.outcome == hooks.Unknown; {
	case unknown && len(here) == 0 && b.maybeFree: // no row would ever show how it ended
		d.notifyIDs(hooks.NoticeLost, gone, reasonNeverKnown)
		b.notified = true
	case unknown:
		b.outcome = hooks.RolledBack
		if len(here) > 0 {
			b.outcome = hooks.Committed
		}
		d.notifyIDs(hooks.NoticeSettled, b.ids, b.outcome.String())
	}
	if !b.notified {
		b.notified = true
		d.notifyIDs(hooks.NoticeLogged, here, "")
		d.enqueued(here)
		d.notifyIDs(hooks.NoticeRolledBack, gone, "")
	}
	b.entries = entries
	if len(entries) == 0 {
		b.sinks = nil
	}
}

func idsOf(events []hooks.Event) []uuid.UUID {
	ids := make([]uuid.UUID, len(events))
	for i := range events {
		ids[i] = events[i].ID
	}
	return ids
}
