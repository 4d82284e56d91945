package change

import (
	"time"
)

// BreakKind says what a [Break] is.
type BreakKind string

// The kinds of breaks.
const (
	// Began is the beginning of a table's history. Text says so if another table had its name.
	Began BreakKind = "began"
	// Renamed and Reshaped say that the table has another name, or other columns. What was written in between is
	// in the history, if there is no break of another kind.
	Renamed  BreakKind = "renamed"
	Reshaped BreakKind = "reshaped"
	// Drifted are changes that were made after DDL and before the next plan: they keep whole rows.
	Drifted BreakKind = "drifted"
	// Restored says that the table was restored into another database: what happened between the
	// backup and the restore is not in it.
	Restored BreakKind = "restored"
	// Partitioned says that partitions were attached or detached, with their rows.
	Partitioned BreakKind = "partitioned"
	// Uncaptured says that there were no triggers, or that they were disabled.
	Uncaptured BreakKind = "uncaptured"
	// Truncated is a TRUNCATE: its rows are not kept.
	Truncated BreakKind = "truncated"
	// Lost are changes that the trigger could not keep.
	Lost BreakKind = "lost"
	// Undelivered are changes that could not be copied to this database, or not yet, while later ones were: see
	// relay.Store.Failures of the app's database.
	Undelivered BreakKind = "undelivered"
	// Unhashed are changes that were kept without the hashes of their values, since the key could not be read.
	Unhashed BreakKind = "unhashed"
	// Purged are changes that were deleted here, because another database keeps them: see changes.KeptIn.
	Purged BreakKind = "purged"
)

// MayMiss reports whether changes may be missing from the history because of such a break: what a row was is not known across it. Those that
// are Purged are in another database.
func (k BreakKind) MayMiss() bool {
	switch k {
	case Restored, Partitioned, Uncaptured, Lost, Undelivered, Purged:
		return true
	}
	return false
}

// Break is where the chain of a table's changes is broken, or may be.
type Break struct {
	Kind BreakKind
	// From and To bound when it happened, by the clock of the server: after From, and at To at the latest. They are
	// equal if the time is known. For Drifted, Lost, Undelivered, Unhashed and Purged they are the times of the first and the last such change.
	From, To time.Time
	// Schema and Table are the table's after it.
	Schema, Table string
	// Text describes it, in one line.
	Text string
}

// String returns the break for people, in one line.
func (b Break) String() string {
	when := "at " + b.To.UTC().Format(time.RFC3339Nano)
	if !b.From.Equal(b.To) {
		when = "between " + b.From.UTC().Format(time.RFC3339Nano) + " and " + b.To.UTC().Format(time.RFC3339Nano)
	}
	return string(b.Kind) + " " + when + ": " + b.Text
}
