package changes

import (
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// The vocabulary of changes, which package change documents: a program that reads changes needs one import.
type (
	// Change is one change of a row.
	Change = change.Change
	// Op is the operation that made a change.
	Op = change.Op
	// Field is a column's value before and after a change.
	Field = change.Field
	// Value is one value.
	Value = change.Value
	// Attribution says who made the changes of a transaction.
	Attribution = change.Attribution
	// State is what is known of a transaction's events.
	State = change.State
	// Context is who made a transaction, and what for.
	Context = change.Context
	// Origin is the session that made a transaction.
	Origin = change.Origin
	// Break is where the chain of a table's changes is broken, or may be.
	Break = change.Break
	// BreakKind says what a Break is.
	BreakKind = change.BreakKind
	// Diff is a change, field by field, in a form for other programs.
	Diff = change.Diff
	// DiffBy says who made the change's transaction.
	DiffBy = change.DiffBy
	// DiffActor is an actor of the transaction.
	DiffActor = change.DiffActor
	// DiffField is a field before and after the change.
	DiffField = change.DiffField
	// DiffValue is one value, or what is known of it.
	DiffValue = change.DiffValue
	// DiffKind says what a DiffValue is.
	DiffKind = change.DiffKind
)

// The operations.
const (
	Insert   = change.Insert
	Update   = change.Update
	Delete   = change.Delete
	Truncate = change.Truncate
)

// What is known of a transaction's events.
const (
	Recorded = change.Recorded
	Pending  = change.Pending
	NoEvent  = change.NoEvent
	Unknown  = change.Unknown
)

// The kinds of breaks.
const (
	Began       = change.Began
	Renamed     = change.Renamed
	Reshaped    = change.Reshaped
	Drifted     = change.Drifted
	Restored    = change.Restored
	Partitioned = change.Partitioned
	Uncaptured  = change.Uncaptured
	Truncated   = change.Truncated
	Lost        = change.Lost
	Undelivered = change.Undelivered
	Unhashed    = change.Unhashed
	Purged      = change.Purged
)

// The kinds of values in a [Diff].
const (
	KindAbsent    = change.KindAbsent
	KindValue     = change.KindValue
	KindNull      = change.KindNull
	KindHashed    = change.KindHashed
	KindShortened = change.KindShortened
	KindMasked    = change.KindMasked
)

// ErrNoChange is returned where there is no such change, or transaction, in the history.
var ErrNoChange = change.ErrNoChange

// ErrFuture means that a row or a table was asked for as of a time in the future, by the database's clock. It comes in an error that has
// both times.
var ErrFuture = change.ErrFuture

// ClockTolerance is how far a time may be ahead of the database's clock, because the caller's clock may be. It counts as now.
const ClockTolerance = change.ClockTolerance

// ErrNoKey means that the rows of a table never had a key when their changes were captured, so that no row can be asked for. It comes in an
// error that says what to do.
var ErrNoKey = change.ErrNoKey

// ErrNoTable means that the database has no such table, and never had one that was captured. It comes in an error that says which may be
// meant.
var ErrNoTable = catalog.ErrNoTable

// ErrNotMigrated means that the tables of changes are missing: run capture.Installer.Migrate.
var ErrNotMigrated = catalog.ErrNotMigrated

// ErrKey means that no row can have a key, since one of its values is none of its column's type, such as "abc" of an integer. It comes in
// an error that says which. On SQLite, where a column takes values of any type, there is no such error.
var ErrKey = change.ErrKey
