package forward

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// places is what a handler knows about where the Queue's jobs are enqueued and worked.
type places struct {
	store *relay.Store // nil without a Queue
	// here is what the newest connection leads to. After a failover to another database
	// all connections are new. If only the address has moved, an older one may still lead
	// to the former database, and its jobs wait there: a connection that is lent has no
	// identity by which its own place could be kept.
	here atomic.Pointer[string]

	mu sync.Mutex
	// next is when the last of the jobs of another place is tried again.
	next time.Time
}

// Jobs of another place are tried again after elsewherePause, and one by one: there may be
// a hundred thousand in a copy, beside which those of this place have to get on. Where a
// process runs that such a job belongs to, the job is soon to be had for that one, after a pause
// that differs, so that both do not look at the same time again and again: which of the two
// has the wrong environment cannot be known here.
const (
	servedPause    = time.Second
	elsewherePause = time.Minute
	elsewhereStep  = 20 * time.Millisecond
)

// openPlaces makes ready what names the places of jobs.
func (d *handler) openPlaces() (err error) {
	if len(d.queue.given) == 0 {
		return nil
	}
	if d.queue.places.store, err = relay.New(d.db.Dialect, &relay.Options{Journal: d.hub.journal, Environment: d.hub.environment}); err != nil {
		return fmt.Errorf("forward: driver %s: %w", d.db.Driver, err)
	}
	return nil
}

// learnPlace asks a new connection where it leads to, if jobs are enqueued over it.
func (d *handler) learnPlace(ctx context.Context, conn *sql.DB) error {
	p := &d.queue.places
	if p.store == nil || d.dialect.local() && p.here.Load() != nil {
		return nil
	}
	place, err := p.store.Place(ctx, conn)
	if err != nil {
		return fmt.Errorf("forward: driver %s: %w", d.db.Driver, err)
	}
	p.here.Store(&place)
	return nil
}

// placeFor returns the place of jobs that are enqueued over conn. It is asked only if that
// could not be done when the connection was opened, in best effort.
func (d *handler) placeFor(ctx context.Context, conn *sql.DB) (string, error) {
	if d.queue.places.here.Load() == nil {
		if err := d.learnPlace(ctx, conn); err != nil {
			return "", err
		}
	}
	return *d.queue.places.here.Load(), nil
}

// waitElsewhere returns the verdict on a job of another place, or on one whose place
// cannot be compared, and false for a job of this place. It is asked at each attempt: db
// may have come to lead to another database.
func (d *handler) waitElsewhere(ctx context.Context, db *sql.DB, s *sink, job *Job) (v Verdict, waits bool) {
	if job.Place == "" {
		return v, false
	}
	here, err := d.queue.places.store.Place(ctx, db)
	switch {
	case err != nil:
		was := memoOf(job)
		d.Notify(hooks.Notice{Kind: hooks.NoticeFailed, Dispatch: Async.String(), Forwarder: s.name(), Attempt: job.Attempt, Events: was.Left, Reason: reasonOf(err), Err: err})
		found := relay.Findings{Untried: was.Left, Why: relay.Failure{Err: err}}
		return was.next(job, &found, false, ctx.Err() != nil), true
	case here == job.Place:
		return v, false
	}
	err = &relay.PlaceError{Forwarder: s.name(), Was: job.Place, Is: here, Jobs: true}
	if s.elsewhere.add(job.Place + "\n" + here) {
		d.log().Warn("aftercommit: jobs wait", zap.String("forwarder", s.name()), zap.Error(err))
		d.Notify(hooks.Notice{Kind: hooks.NoticeSuspended, Dispatch: Async.String(), Forwarder: s.name(), Reason: "place", Err: err})
	}
	v = Verdict{Next: JobWaits, Note: job.Note, Wait: servedPause + rand.N(2*servedPause), Err: err}
	if !job.Served {
		v.Wait = d.queue.places.pause(time.Now())
	}
	return v, true
}

// pause is how long the next job of another place waits.
func (p *places) pause(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = p.next.Add(elsewhereStep)
	if least := now.Add(elsewherePause); p.next.Before(least) {
		p.next = least
	}
	return p.next.Sub(now)
}
