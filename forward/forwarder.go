package forward

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// Forwarder takes committed entries to a sink.
//
// Forward gets at least one entry. Within a call, entries are in the order in which they
// were recorded: by the server's clock on PostgreSQL, by commit on SQLite. The relay makes
// its calls one after another, for what has been committed since it last looked; an entry
// that failed comes again after later ones. Calls have at most 500 entries, but within
// Commit a call has all of the transaction. There, the calls for commits on several
// connections are in no order. Forward may get an entry again that it has accepted before;
// a sink keyed by the event's ID makes that harmless. It is called concurrently and must
// return when ctx ends. Its entries are a copy, which it may keep and change.
//
// Its error decides what happens next. After a [Permanent] error nothing is tried
// again; but what a sync forwarder refused comes once more, from the relay, if its
// process ends within a second or the relay runs elsewhere. After a [Partial] error
// only the entries that it names are tried again, after any other error all of them.
type Forwarder interface {
	Forward(ctx context.Context, entries []journal.Entry) error
}

// Attacher is a Forwarder that wants to look at its sink before the first entry. Attach is
// called with the first connection, and again until it succeeds. db is exactly one
// connection, valid until Attach returns: the app's own, or one that was opened for a later
// attempt. [Dialect] of ctx is what it speaks.
//
// An error of kind [Permanent] (missing tables, say) leaves the forwarder out, with one
// warning, until a later call succeeds: on PostgreSQL it is tried again beside the app, up
// to every half minute; on SQLite the app has to be restarted, unless [Options.Queue]
// delivers. Any other error fails the connection attempt or, in best effort, is tried again
// beside the app.
type Attacher interface {
	Attach(ctx context.Context, db *sql.DB) error
}

// GapRecorder is a Forwarder that records which row changes it lacks, so that readers of its copy see that it is incomplete. It has
// to be registered with [WithChanges].
type GapRecorder interface {
	// RecordGaps is called like Forward, with at most 500 gaps. It gets a gap after an attempt to deliver the row change has failed, or
	// when the change cannot be read. When the relay of a process begins to deliver, it gets again all gaps that there are.
	//
	// The change may still arrive later, or have arrived already, so a gap that comes twice, or after its change, must do no harm.
	// After an error RecordGaps is called again.
	RecordGaps(ctx context.Context, gaps []relay.Gap) error
}

type lentKey struct{}

// lent is what the context of a call lends.
type lent struct {
	db      *sql.DB
	dialect hooks.Dialect
	changes relay.Changes
}

// Conn returns the app's own database, as far as Forward may use it: exactly
// one connection, valid until Forward returns or its context ends. A Hub never calls
// without one. It is nil for a context that is neither from a Hub nor from [WithConn].
//
// The connection is outside any transaction, with one exception: the relay calls a
// [SameDatabase] forwarder in the transaction that moves its cursor. There Begin,
// Commit and Rollback do nothing, and on PostgreSQL a statement that fails makes
// those after it fail, too.
//
// Within Commit it is the app's own connection. There a statement whose text changes the
// session, such as SET, is refused, and after some others, such as DO, the connection is
// closed; README.md in this folder lists them.
func Conn(ctx context.Context) *sql.DB {
	l, _ := ctx.Value(lentKey{}).(lent)
	return l.db
}

// Dialect returns the dialect of [Conn]'s database, also during Attach. Ask for it in
// each call: one Hub may have databases of several dialects. It is "" for a
// context that is neither from a Hub nor from [WithDialect].
func Dialect(ctx context.Context) hooks.Dialect {
	l, _ := ctx.Value(lentKey{}).(lent)
	return l.dialect
}

// WithConn returns the context that a Forwarder is called with, so that [Conn]
// finds db. It is for those who call forwarders themselves, such as tests.
func WithConn(ctx context.Context, db *sql.DB) context.Context {
	return context.WithValue(ctx, lentKey{}, lent{db, Dialect(ctx), Changes(ctx)})
}

// WithDialect is the counterpart of [WithConn] for [Dialect].
func WithDialect(ctx context.Context, d hooks.Dialect) context.Context {
	return context.WithValue(ctx, lentKey{}, lent{Conn(ctx), d, Changes(ctx)})
}

// Changes returns what the forwarder was registered with by [WithChanges], also during Attach, and nil if that was
// nothing. A forwarder that keeps row changes as the app's database does has more of them from there than an entry says.
func Changes(ctx context.Context) relay.Changes {
	l, _ := ctx.Value(lentKey{}).(lent)
	return l.changes
}

// lend returns the context of a call with a connection of d's database.
func (d *handler) lend(ctx context.Context, db *sql.DB) context.Context {
	return context.WithValue(ctx, lentKey{}, lent{db: db, dialect: d.db.Dialect})
}

// lendTo is lend for a call of the forwarder s.
func (d *handler) lendTo(ctx context.Context, db *sql.DB, s *sink) context.Context {
	return context.WithValue(ctx, lentKey{}, lent{db, d.db.Dialect, s.changes})
}

// PermanentError is an error that another attempt cannot fix.
type PermanentError struct {
	// Reason is a stable word for observers, such as "schema_mismatch".
	Reason string
	Err    error
}

// Permanent says that err will come again at each attempt, and why.
func Permanent(reason string, err error) error {
	return &PermanentError{Reason: reason, Err: err}
}

// Error gives the reason and the cause.
func (e *PermanentError) Error() string { return fmt.Sprintf("%s: %v", e.Reason, e.Err) }

// Unwrap returns the cause.
func (e *PermanentError) Unwrap() error { return e.Err }

// BlockedError is an error of a single entry while the sink accepts others.
type BlockedError struct {
	// Reason is a stable word for observers, such as "held".
	Reason string
	Err    error
}

// Blocked says, in [Partial], that an entry cannot be delivered yet for a reason that no
// other entry has, such as a lock on its key. An attempt is counted against it, and it is
// tried again later. It says that the sink is up, which another error of an entry does not.
//
// A [SameDatabase] forwarder says it of entries of which it has written nothing: if all
// that Partial names are blocked, what the call has written is kept.
func Blocked(reason string, err error) error { return &BlockedError{Reason: reason, Err: err} }

// Error gives the reason and the cause.
func (e *BlockedError) Error() string { return fmt.Sprintf("%s: %v", e.Reason, e.Err) }

// Unwrap returns the cause.
func (e *BlockedError) Unwrap() error { return e.Err }

// PartialError says which entries of a batch failed; the others were accepted.
type PartialError struct {
	// Failed maps event IDs to their errors, which may be [Permanent] or [Blocked].
	Failed map[uuid.UUID]error
}

// Partial reports that only the named entries failed. The relay makes no call with two
// entries of one ID.
func Partial(failed map[uuid.UUID]error) error { return &PartialError{Failed: failed} }

// Error counts the failed entries and gives one of their errors.
func (e *PartialError) Error() string {
	for id, err := range e.Failed {
		return fmt.Sprintf("%d entries failed, one of them %s: %v", len(e.Failed), id, err)
	}
	return "no entry failed"
}

// Unwrap returns the errors of the entries.
func (e *PartialError) Unwrap() []error {
	errs := make([]error, 0, len(e.Failed))
	for _, err := range e.Failed {
		errs = append(errs, err)
	}
	return errs
}

// reason returns the [hooks.Notice.Reason] for err, and whether a further attempt is of
// no use.
func reason(err error) (word string, permanent bool) {
	var (
		p *PermanentError
		b *BlockedError
	)
	switch {
	case errors.As(err, &p):
		return p.Reason, true
	case errors.As(err, &b):
		return b.Reason, false
	case errors.Is(err, context.DeadlineExceeded):
		return reasonTimeout, false
	default:
		return "error", false
	}
}
