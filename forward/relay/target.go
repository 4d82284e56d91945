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
	// Identity distinguishes it from others of that name in other processes.
	Identity Identity
	// Deliver makes one attempt. It returns within Timeout, even if the sink does not.
	// db has one connection, and must not be used afterwards.
	Deliver func(ctx context.Context, db *sql.DB, entries []journal.Entry) Result
	// Timeout is the most that Deliver takes, or 10 s if that is zero.
	Timeout time.Duration
	// SameDatabase says that all that Deliver does is done over db, so that the
	// cursor can move in the same transaction.
	SameDatabase bool
	// Grace is how long the relay leaves entries to calls within Commit, which acknowledge
	// what they deliver; zero without such calls.
	Grace time.Duration
	// Accepted returns when the sink last accepted an entry in a call within Commit of
	// this process; nil without such calls. If an entry fails, and the sink accepts
	// another one before it fails again, the attempt counts.
	Accepted func() time.Time
	// Changes reads the row changes that it gets as entries, beside those of the journal; nil if it gets none.
	// It is for PostgreSQL, and for targets without Grace and SameDatabase.
	Changes Changes
	// RecordGaps gets the row changes that the target lacks, at most 500 at a time: an attempt with them has failed, or they cannot be
	// read. They may be tried again. It is called like Deliver, after the failures were noted, and again until it returns no Err. A process
	// that gets the lease passes it all gaps that there are. So a gap may come several times, and after its change was delivered.
	// It is nil for a target that records no gaps, and without Changes.
	RecordGaps func(ctx context.Context, db *sql.DB, gaps []Gap) Result
	// MaxAttempts is the number of attempts after which an entry is discarded.
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
	// Failed are those that have a separate failure. Without Err, the others were
	// accepted.
	Failed map[uuid.UUID]Failure
	// Filtered is how many entries the filter has kept from the sink. They count as
	// delivered.
	Filtered int
	// Hung says that the call has not returned, and may still use db.
	Hung bool
	// TimedOut says that the call has returned, but failed when its time was up.
	TimedOut bool
	// Starved is why the call got no connection, if it did not deliver all without one. It
	// then says nothing about its entries, nor about the sink.
	Starved error
}

// late reports whether the call took all the time that it had.
func (r *Result) late() bool { return r.Hung || r.TimedOut }

// Failure is why an entry was not accepted.
type Failure struct {
	Reason    string
	Permanent bool
	// Blocked says that the sink is up, and that it is only this entry that it does not
	// accept yet.
	Blocked bool
	Err     error
}

// certain reports whether it is the entry that is at fault, not the sink.
func (f *Failure) certain() bool { return f.Permanent || f.Blocked }

// acceptedAll reports whether all entries were accepted.
func (r *Result) acceptedAll() bool { return r.Err == nil && len(r.Failed) == 0 }

// proves reports whether a result of a call with n entries shows that the sink is up:
// it accepted one of those that it has seen, or says of one that it is at fault. To refuse each by
// name shows nothing, since a sink that is called once for each entry does that when
// it is down.
func (r *Result) proves(n int) bool {
	if r.Hung {
		return false
	}
	if r.Err != nil {
		return r.Err.certain()
	}
	for _, f := range r.Failed {
		if f.certain() {
			return true
		}
	}
	return len(r.Failed) < n-r.Filtered
}

// canRenew reports whether what a call within a transaction has written is to be kept: all
// entries were accepted, except some of which the sink says that it wrote nothing.
func (r *Result) canRenew() bool {
	if r.Err != nil || r.Hung {
		return false
	}
	for _, f := range r.Failed {
		if !f.Blocked {
			return false
		}
	}
	return true
}

// doubtful reports whether a result of a call with n entries does not say whose fault
// it is.
func (r *Result) doubtful(n int) bool { return !r.acceptedAll() && !r.proves(n) }

// why returns the failure of the call as a whole, or else that of a single entry.
func (r *Result) why() Failure {
	if r.Err != nil {
		return *r.Err
	}
	for _, f := range r.Failed {
		return f
	}
	return Failure{}
}

var errPartly = errors.New("relay: some entries were refused")

// whole returns r, of a call with n entries within a transaction, without the failures of
// single ones: they may have failed only because the transaction had failed already.
func (r *Result) whole(n int) Result {
	if len(r.Failed) == 0 || n == 1 {
		return *r
	}
	return Result{Err: &Failure{Reason: "error", Err: errPartly}}
}

// of returns what became of an entry: nil if it was accepted.
func (r *Result) of(id uuid.UUID) *Failure {
	if f, ok := r.Failed[id]; ok {
		return &f
	}
	return r.Err
}

// failures are what became of entries that were not accepted.
func (r *Result) failures(entries []journal.Entry) map[uuid.UUID]Failure {
	if r.acceptedAll() {
		return nil
	}
	failed := make(map[uuid.UUID]Failure)
	for i := range entries {
		if f := r.of(entries[i].ID); f != nil {
			failed[entries[i].ID] = *f
		}
	}
	return failed
}
