package forward

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

const (
	// reasonJob is that of a job that names no forwarder or events of this Hub.
	reasonJob = "unknown_job"
	// reasonDied is that of a job whose process died in its last attempt.
	reasonDied = "died"
)

// jobConns are the connections that a Queue's workers have for jobs: a pool, and what each
// sink may be lent of it.
type jobConns struct {
	db      *sql.DB
	lenders map[*sink]*relay.Lender
}

// newJobConns returns those of db. One of its connections is never lent, so that the Queue and
// other sinks' reads of the journal go on while sinks keep theirs. Nor may one sink keep all the
// others.
func (d *handler) newJobConns(db *sql.DB) jobConns {
	all := relay.NewLender(db, 1)
	c := jobConns{db, make(map[*sink]*relay.Lender, len(d.queue.given))}
	for _, s := range d.queue.given {
		c.lenders[s] = all
		if len(d.queue.given) > 1 {
			c.lenders[s] = all.Part()
		}
	}
	return c
}

// work is [Worker.Deliver].
func (d *handler) work(ctx context.Context, conns jobConns, job Job) Verdict {
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
		return Verdict{Next: JobRefused, Note: job.Note, Err: err}
	}
	if v, waits := d.waitElsewhere(ctx, conns.db, s, &job); waits {
		return v
	}
	d.compareJob(s, &job)
	was := memoOf(&job)
	if job.Died {
		err := fmt.Errorf("forward: the process died in the last of %d attempts, so it is not known which events the forwarder accepted: have the job tried again by the queue's tools", job.MaxAttempts)
		n.Kind, n.Events, n.Reason, n.Err = hooks.NoticeDiscarded, was.Left, reasonDied, err
		d.Notify(n)
		return Verdict{Next: JobDiscarded, Note: was.over(), Err: err}
	}
	start := time.Now()
	up := s.proof.since(was.since(start))
	found, err := d.callJob(ctx, conns, s, &job, was, up)
	n.Duration = time.Since(start)
	if err != nil { // which says nothing about the sink
		n.Kind, n.Events, n.Reason, n.Err = hooks.NoticeFailed, found.Untried, found.Why.Reason, err
		d.Notify(n)
	} else {
		d.notifySink(ctx, s, was, &found, up)
	}
	v := was.next(&job, &found, up || found.Proved, ctx.Err() != nil)
	d.notifyJob(n, was.Left, &found, v.Next)
	return v
}

func reasonOf(err error) string { word, _ := reason(err); return word }

// callJob makes the attempt. With an error the journal could not be read, or a call of the sink
// got no connection.
func (d *handler) callJob(ctx context.Context, conns jobConns, s *sink, job *Job, m memo, up bool) (found relay.Findings, err error) {
	entries, err := d.readJob(ctx, conns.db, job, m.Left)
	if err != nil {
		return relay.Findings{Untried: m.Left, Why: relay.Failure{Reason: reasonOf(err), Err: err}}, err
	}
	whole, unreadable := readable(entries)
	if len(whole) > 0 {
		found = d.attemptJob(ctx, conns.lenders[s], s, m, up, whole)
	}
	refused := refusals(unreadable)
	maps.Copy(refused, goneErrors(missing(m.Left, entries)))
	if len(refused) > 0 {
		failed := toResult(callResult{err: Partial(refused)}).Failed
		maps.Copy(failed, found.Failed)
		found.Failed = failed
	}
	return found, found.Starved
}

// readJob reads those events of a job, over a connection that is given back before the sink is
// called: that may take a quarter of an hour.
func (d *handler) readJob(ctx context.Context, db *sql.DB, job *Job, ids []uuid.UUID) (entries []journal.Entry, err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("forward: no connection to read the journal: %w", err)
	}
	err = relay.LendOnce(conn, func(lent *sql.DB) error {
		type answer struct {
			entries []journal.Entry
			err     error
		}
		got, ok := bounded(ctx, d.hub.timeout, func(ctx context.Context) (a answer) {
			if job.Key == uuid.Nil {
				a.entries, a.err = d.journal.EarlierByID(ctx, lent, ids)
				return a
			}
			rows, e := d.journal.ByKey(ctx, lent, []uuid.UUID{job.Key})
			return answer{job.pick(rows, ids), e}
		})
		if !ok {
			return errors.New("forward: the database did not answer in time")
		}
		entries = got.entries
		return got.err
	})
	return entries, err
}

// pick returns the entries of the job's row that have those ids. What the row says of an
// event's ID does not count, since it may be damaged: the job knows its events by their places.
func (job *Job) pick(rows []journal.Row, ids []uuid.UUID) (entries []journal.Entry) {
	left := make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		left[id] = true
	}
	for i := range rows {
		for _, e := range rows[i].Entries() {
			if e.Ordinal >= len(job.Events) || !left[job.Events[e.Ordinal]] {
				continue
			}
			if id := job.Events[e.Ordinal]; e.ID != id {
				if e.Unreadable == "" {
					e.Unreadable = fmt.Sprintf("id: is %s, and was %s when the job was enqueued", e.ID, id)
				}
				e.ID = id
			}
			entries = append(entries, e)
		}
	}
	return entries
}

// attemptJob calls the sink with entries, first with those of which nothing is known.
func (d *handler) attemptJob(ctx context.Context, lender *relay.Lender, s *sink, m memo, up bool, entries []journal.Entry) relay.Findings {
	order := make(map[uuid.UUID]int, len(m.Left))
	for i, id := range m.Left {
		order[id] = i
	}
	slices.SortFunc(entries, func(a, b journal.Entry) int { return cmp.Compare(order[a.ID], order[b.ID]) })
	return relay.Trial{
		Call: func(part []journal.Entry) (seen []journal.Entry, r relay.Result) {
			part = slices.SortedFunc(slices.Values(part), func(a, b journal.Entry) int { return a.Compare(b.Position) })
			r = lender.Call(func(lent *sql.DB) (r relay.Result) {
				seen, r = d.callSink(ctx, lent, s, part)
				return r
			})
			return seen, r
		},
		Stop: func() *relay.Failure {
			if err := d.mayCall(s); err != nil {
				return &relay.Failure{Reason: reasonSuspended, Err: err}
			}
			if err := context.Cause(ctx); err != nil {
				return &relay.Failure{Reason: reasonOf(err), Err: err}
			}
			return nil
		},
		Up: up, OneByOne: m.OneByOne, Turn: m.Waits,
	}.Run(entries)
}

// notifySink notifies observers when the sink begins to accept nothing, and when it accepts
// something again. An event that has failed before while the sink was up shows nothing of the
// sink.
func (d *handler) notifySink(ctx context.Context, s *sink, m memo, f *relay.Findings, up bool) {
	n := hooks.Notice{Dispatch: Async.String(), Forwarder: s.name()}
	name := zap.String("forwarder", s.name())
	_, untried := m.sort(f)
	switch {
	case f.Proved:
		if s.proof.prove() {
			d.log().Info("aftercommit: a forwarder takes entries again", name)
			n.Kind = hooks.NoticeResumed
			d.Notify(n)
		}
	case !up && untried > 0 && ctx.Err() == nil:
		if s.proof.doubt() {
			d.log().Warn("aftercommit: a forwarder accepts nothing; its jobs wait, and no attempt is counted",
				name, zap.String("reason", f.Why.Reason), zap.Error(f.Why.Err))
			n.Kind, n.Reason, n.Err = hooks.NoticeSuspended, f.Why.Reason, f.Why.Err
			d.Notify(n)
		}
	}
}

// notifyJob notifies observers of what became of a job's events.
func (d *handler) notifyJob(n hooks.Notice, events []uuid.UUID, f *relay.Findings, next JobNext) {
	if len(f.Accepted) > 0 {
		n.Kind, n.Events = hooks.NoticeDelivered, f.Accepted
		d.Notify(n)
	}
	for _, id := range events {
		failure, ok := f.Failed[id]
		if !ok && (next != JobDiscarded || !slices.Contains(f.Untried, id)) {
			continue
		}
		if !ok {
			failure = f.Why
		}
		n.Kind, n.Events = hooks.NoticeFailed, []uuid.UUID{id}
		n.Reason, n.Permanent, n.Err = failure.Reason, failure.Permanent, failure.Err
		d.Notify(n)
		if failure.Permanent || next == JobDiscarded {
			n.Kind = hooks.NoticeDiscarded
			d.Notify(n)
		}
	}
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

// goneErrors are the errors of events that are no longer in the journal.
func goneErrors(gone []uuid.UUID) map[uuid.UUID]error {
	errs := make(map[uuid.UUID]error, len(gone))
	for _, id := range gone {
		errs[id] = Permanent(relay.ReasonGone, fmt.Errorf("forward: event %s of the job is no longer in the journal: "+
			"purge only what is older than the oldest job that may be tried again", id))
	}
	return errs
}
