package relay

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
)

// Target is a forwarder as the relay sees it.
type Target struct {
	// Name is that of its cursor.
	Name string
	// Deliver makes one attempt. It returns within a time of its own, also if
	// the sink does not; db, of one connection, must not be used afterwards.
	Deliver func(ctx context.Context, db *sql.DB, entries []journal.Entry) Result
	// Timeout is the most that Deliver takes, or 10 s if that is zero.
	Timeout time.Duration
	// SameDatabase says that all that Deliver does is done over db, so that the
	// cursor can move in the same transaction.
	SameDatabase bool
	// Grace is how long the relay leaves entries to others, which settle what
	// they deliver; zero if there are none.
	Grace time.Duration
	// MaxAttempts is when an entry is discarded.
	MaxAttempts int
}

func (t *Target) timeout() time.Duration {
	const usual = 10 * time.Second
	if t.Timeout <= 0 {
		return usual
	}
	return t.Timeout
}

// Result is how an attempt went.
type Result struct {
	// Err is what went wrong with all entries that Failed does not name.
	Err *Failure
	// Failed are those that have a failure of their own. Without Err, the
	// others were taken.
	Failed map[uuid.UUID]Failure
	// Hung says that the call has not returned, and may still use db.
	Hung bool
}

// Failure is why an entry was not taken.
type Failure struct {
	Reason    string
	Permanent bool
	Err       error
}

// taken reports whether all entries were.
func (r *Result) taken() bool { return r.Err == nil && len(r.Failed) == 0 }

var errPartly = errors.New("relay: some entries were refused")

// whole is r of a call within a transaction: what it says of single entries it
// may have found when the transaction had failed already.
func (r *Result) whole() Result {
	if len(r.Failed) == 0 {
		return *r
	}
	return Result{Err: &Failure{Reason: "error", Err: errPartly}}
}

// transient reports whether all failed, for a reason that may pass.
func (r *Result) transient() bool { return r.Err != nil && !r.Err.Permanent }

// of returns what became of an entry: nil if it was taken.
func (r *Result) of(id uuid.UUID) *Failure {
	if f, ok := r.Failed[id]; ok {
		return &f
	}
	return r.Err
}
