package hooks

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/google/uuid"
)

// Handle is anything that executes statements: *sql.DB, *sql.Tx, *sql.Conn, and
// what libraries put above them.
type Handle interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

var (
	_ Handle = (*sql.DB)(nil)
	_ Handle = (*sql.Tx)(nil)
	_ Handle = (*sql.Conn)(nil)
)

// ErrNotWrapped means that a handle's connection is not one of aftercommit's,
// so that nothing was recorded.
var ErrNotWrapped = errors.New(
	"hooks: nothing was recorded: this handle's connection is not wrapped: " +
		"open the database with the name given to driver.Register (if it was, something in between changes the beginning of statements, or replaces their contexts)")

// Statement is what Record and its siblings execute. The database never sees
// it, unless the connection is not wrapped; then it is an empty comment.
const Statement = "/* aftercommit */"

// Record adds e to the transaction that h is in. The event is written when the
// transaction commits, and never if it does not. On a handle outside any
// transaction it is written at once, in a separate transaction.
//
// What e leaves empty is filled from ctx, then from the context given to
// BeginTx; see [Values]. An event that cannot be stored is refused here, with an
// [*InvalidError], and the transaction goes on. So is one whose ID the
// transaction has already; IDs of other transactions are not checked.
//
// What is written is e as it is now: Record encodes its metadata once, before it
// returns, and keeps nothing of the caller's.
//
// While the mode is off, Record checks e and drops it.
//
// Record may be called as concurrently as h may be used.
func Record(ctx context.Context, h Handle, e Event) error {
	ownID := e.ID != uuid.Nil
	e, err := Prepare(e)
	if err != nil {
		return err
	}
	var packed struct { // one allocation
		parcel Parcel
		event  Event
	}
	packed.event = e
	packed.parcel.Event, packed.parcel.OwnID = &packed.event, ownID
	return send(ctx, h, &packed.parcel)
}

// OnCommit runs f after the transaction that h is in has committed, or at once if
// h is in none. If the transaction rolls back, or back to a savepoint set before
// this call, f is never run; nor if the outcome stays unknown, which is reported
// to observers. The mode does not matter: also while it is off the driver follows
// the transaction of a function, and looks before the COMMIT whether it is still
// there.
//
// f runs in a separate goroutine, for which Commit, or OnCommit itself, waits up to
// five seconds. Its context has the values of ctx, but neither its cancellation nor
// its deadline, and ends after these five seconds. A panic in f is recovered and
// reported to observers. The *sql.Conn or *sql.Tx of the transaction is in use by
// Commit until f returns, so f must use the *sql.DB: on the others it would wait for
// itself until the five seconds are over.
func OnCommit(ctx context.Context, h Handle, f func(context.Context)) error {
	if f == nil {
		return errors.New("hooks: OnCommit of a nil function")
	}
	return send(ctx, h, &Parcel{OnCommit: f})
}

// OnRollback is the counterpart of [OnCommit]: f runs after the transaction, or
// the savepoint that this call was made under, has been rolled back. Outside
// any transaction it is an error, since nothing is left that could roll back.
func OnRollback(ctx context.Context, h Handle, f func(context.Context)) error {
	if f == nil {
		return errors.New("hooks: OnRollback of a nil function")
	}
	return send(ctx, h, &Parcel{OnRollback: f})
}

// Wrapped reports whether statements on h are audited: whether aftercommit's driver is
// below it, perhaps under other wrappers. One that changes contexts, or how statements
// begin, hides it. Nothing is recorded. An error is that of the connection.
func Wrapped(ctx context.Context, h Handle) (bool, error) {
	err := send(ctx, h, &Parcel{})
	if errors.Is(err, ErrNotWrapped) {
		return false, nil
	}
	return err == nil, err
}

func send(ctx context.Context, h Handle, p *Parcel) error {
	if isNil(h) {
		return errors.New("hooks: nil handle: pass the *sql.DB, *sql.Tx or *sql.Conn that the statement belongs to")
	}
	if _, err := h.ExecContext(context.WithValue(ctx, parcelKey{}, p), Statement); err != nil {
		if strings.HasPrefix(err.Error(), "hooks: ") {
			return err
		}
		return fmt.Errorf("hooks: %w", err)
	}
	if !p.accepted.Load() {
		return ErrNotWrapped
	}
	return nil
}

func isNil(h Handle) bool {
	switch h := h.(type) {
	case nil:
		return true
	case *sql.DB:
		return h == nil
	case *sql.Tx:
		return h == nil
	case *sql.Conn:
		return h == nil
	}
	return false
}

// Parcel is what travels in the context of a [Statement] from Record to the
// wrapped connection. It is one event or one function, or empty, from [Wrapped].
type Parcel struct {
	Event      *Event // as Prepare returned it
	OwnID      bool   // the caller chose the event's ID
	OnCommit   func(context.Context)
	OnRollback func(context.Context)

	accepted atomic.Bool
}

type parcelKey struct{}

// ParcelFrom returns the parcel in ctx, or nil.
func ParcelFrom(ctx context.Context) *Parcel {
	p, _ := ctx.Value(parcelKey{}).(*Parcel)
	return p
}

// IsEmpty reports whether there is nothing in it.
func (p *Parcel) IsEmpty() bool { return p.Event == nil && p.OnCommit == nil && p.OnRollback == nil }

// Accept signs for the parcel. Only a connection that has taken it does.
func (p *Parcel) Accept() { p.accepted.Store(true) }
