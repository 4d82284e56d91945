package forward

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

const (
	// reasonJob is that of a job that names no forwarder or events of this Hub.
	reasonJob = "unknown_job"
	// reasonGone is that of events that were purged before they were delivered.
	reasonGone = "journal_gone"
)

// work is [Worker.Deliver].
func (d *handler) work(ctx context.Context, db *sql.DB, job Job) error {
	n := hooks.Notice{Dispatch: Async.String(), Forwarder: job.Forwarder, Attempt: job.Attempt}
	var s *sink
	for _, given := range d.queue.given {
		if given.name() == job.Forwarder {
			s = given
		}
	}
	if s == nil || len(job.Events) == 0 {
		err := fmt.Errorf("forward: a job of %d events for the forwarder %q, which is not an async forwarder of this program", len(job.Events), job.Forwarder)
		n.Kind, n.Events, n.Reason, n.Permanent, n.Err = hooks.NoticeDiscarded, job.Events, reasonJob, true, err
		d.Notify(n)
		return Permanent(reasonJob, err)
	}
	d.compareJob(s, &job)
	start := time.Now()
	ids, r, gone := d.callJob(ctx, db, s, job)
	n.Duration = time.Since(start)
	stopped := ctx.Err() != nil
	v := verdictOf(ids, r, gone, job.Attempt >= job.MaxAttempts && !stopped)
	if len(v.taken) > 0 {
		n.Kind, n.Events = hooks.NoticeDelivered, v.taken
		d.Notify(n)
	}
	for _, refused := range v.refused {
		n.Kind, n.Events = hooks.NoticeFailed, refused.ids
		n.Reason, n.Permanent, n.Err = refused.Reason, refused.Permanent, refused.Err
		d.Notify(n)
		if refused.Permanent || v.last {
			n.Kind = hooks.NoticeDiscarded
			d.Notify(n)
		}
	}
	return v.err(len(job.Events))
}

// callJob makes the attempt over one connection of db. ids are the events that were
// tried, and gone those that are no longer in the journal.
func (d *handler) callJob(ctx context.Context, db *sql.DB, s *sink, job Job) (ids []uuid.UUID, r relay.Result, gone []uuid.UUID) {
	fail := func(err error) { ids, r = job.Events, toResult(callResult{err: err}) }
	conn, err := db.Conn(ctx)
	if err != nil {
		fail(fmt.Errorf("forward: no connection to read the journal: %w", err))
		return ids, r, nil
	}
	defer func() { _ = conn.Close() }() // its errors are those of the calls before
	idle := false                       // whether nothing can still be using the connection
	left, err := relay.Lend(conn, func(lent *sql.DB) {
		_, entries, e := d.look(ctx, lent, &batch{ids: job.Events}, true)
		if e != nil {
			fail(e)
			return
		}
		gone = missing(job.Events, entries)
		entries, unreadable := readable(entries)
		if idle = len(entries) == 0; !idle {
			ids, r = d.attemptJob(ctx, lent, s, entries)
			idle = !r.Hung
		}
		if len(unreadable) > 0 {
			ids = append(ids, entryIDs(unreadable)...)
			failed := toResult(callResult{err: Partial(refusals(unreadable))}).Failed
			maps.Copy(failed, r.Failed)
			r.Failed = failed
		}
	})
	if err != nil && ids == nil && gone == nil {
		fail(fmt.Errorf("forward: no connection to read the journal: %w", err))
	}
	if !idle || left != relay.Nothing {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // the pool closes it
	}
	return ids, r, gone
}

// attemptJob calls the sink with all entries, as many at a time as the relay does. ids are those
// that the filter keeps. It goes on behind calls that fail, which may be due to their
// entries, but not behind two in a row of which the sink accepts nothing.
func (d *handler) attemptJob(ctx context.Context, lent *sql.DB, s *sink, entries []journal.Entry) (ids []uuid.UUID, r relay.Result) {
	if len(entries) <= relay.DefaultBatch {
		return d.attemptCall(ctx, lent, s, entries)
	}
	r.Failed = make(map[uuid.UUID]relay.Failure)
	for refused := 0; len(entries) > 0; {
		part := entries[:min(relay.DefaultBatch, len(entries))]
		entries = entries[len(part):]
		seen, one := d.attemptCall(ctx, lent, s, part)
		ids, r.Hung = append(ids, seen...), one.Hung
		if one.Err == nil {
			maps.Copy(r.Failed, one.Failed)
			refused = 0
			continue
		}
		for _, id := range seen {
			r.Failed[id] = *one.Err
		}
		maps.Copy(r.Failed, one.Failed)
		if refused++; one.Hung || refused == 2 || ctx.Err() != nil {
			for i := range entries {
				r.Failed[entries[i].ID] = relay.Failure{Reason: one.Err.Reason, Err: one.Err.Err}
			}
			return append(ids, entryIDs(entries)...), r
		}
	}
	return ids, r
}

// attemptCall calls the sink with all entries and, if they fail together, with parts of
// them, so that a bad one does not use up the attempts of the others. ids are those that
// the filter keeps.
func (d *handler) attemptCall(ctx context.Context, lent *sql.DB, s *sink, entries []journal.Entry) (ids []uuid.UUID, r relay.Result) {
	seen, r := d.callSink(ctx, lent, s, entries)
	ids = entryIDs(seen)
	if r.Err == nil || r.Err.Permanent || r.Err.Reason == reasonTimeout || len(seen) < 2 || ctx.Err() != nil {
		return ids, r
	}
	hung := false
	parts, up := relay.Isolate(seen, func(part []journal.Entry) relay.Result {
		_, one := d.callSink(ctx, lent, s, part)
		hung = hung || one.Hung
		return one
	})
	if up {
		r = parts
	}
	r.Hung = hung
	return ids, r
}

func missing(ids []uuid.UUID, entries []journal.Entry) (gone []uuid.UUID) {
	found := make(map[uuid.UUID]bool, len(entries))
	for i := range entries {
		found[entries[i].ID] = true
	}
	for _, id := range ids {
		if !found[id] {
			gone = append(gone, id)
		}
	}
	return gone
}

// verdict is what became of the events of a job.
type verdict struct {
	taken   []uuid.UUID
	refused []refusal
	// last says that there is no further attempt.
	last bool
}

// refusal is a failure, and what has failed by it.
type refusal struct {
	relay.Failure
	ids []uuid.UUID
}

func verdictOf(ids []uuid.UUID, result relay.Result, gone []uuid.UUID, last bool) verdict {
	v := verdict{last: last}
	for _, id := range ids {
		if f, ok := result.Failed[id]; ok {
			v.refused = append(v.refused, refusal{f, []uuid.UUID{id}})
		} else {
			v.taken = append(v.taken, id)
		}
	}
	if result.Err != nil && len(v.taken) > 0 {
		v.refused = append(v.refused, refusal{*result.Err, v.taken})
		v.taken = nil
	}
	if len(gone) > 0 {
		err := fmt.Errorf("forward: %d events of the job are no longer in the journal, such as %s: "+
			"purge what is older than the queue's last attempt", len(gone), gone[0])
		v.refused = append(v.refused, refusal{relay.Failure{Reason: reasonGone, Permanent: true, Err: err}, gone})
	}
	return v
}

// err returns the verdict on a job of that many events as [Worker.Deliver] documents
// it.
func (v *verdict) err(events int) error {
	again := make(map[uuid.UUID]error)
	var transient, permanent *relay.Failure
	for i := range v.refused {
		f := &v.refused[i].Failure
		if f.Permanent {
			permanent = f
			continue
		}
		transient = f
		for _, id := range v.refused[i].ids {
			again[id] = f.Err
		}
	}
	var already *PermanentError
	switch {
	case transient != nil && len(again) < events:
		return Partial(again)
	case transient != nil:
		return transient.Err
	case permanent == nil:
		return nil
	case errors.As(permanent.Err, &already):
		return permanent.Err
	default:
		return Permanent(permanent.Reason, permanent.Err)
	}
}
