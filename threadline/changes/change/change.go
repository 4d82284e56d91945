package change

import (
	"errors"
	"time"
)

// Op is the operation that made a change.
type Op string

// The operations.
const (
	Insert   Op = "insert"
	Update   Op = "update"
	Delete   Op = "delete"
	Truncate Op = "truncate"
)

// Change is one change of a row.
type Change struct {
	// XID and TxStartedAt together identify the transaction: a restored database counts XIDs anew. On SQLite the
	// XID is the driver's number of the transaction, 0 if it has none.
	XID         int64
	TxStartedAt time.Time
	// CapturedAt is the server's clock at the change, on SQLite the app's.
	CapturedAt time.Time
	// By says who made the transaction. It is nil in a change that no Store has returned.
	By *Attribution
	Op Op
	// Schema and Table are the names that the table had when its capture was planned.
	Schema, Table string
	// Key is the row's key after the change, of a delete the one that it had. FormerKey is nil unless the change has
	// changed the key.
	Key, FormerKey []string
	// KeyColumns are the names of the key's columns. They are nil for a table without a key, and if Drifted.
	KeyColumns []string
	// Fields are the values: of an update those that have changed, of an insert or a delete all. They
	// are in the order of the table's columns.
	Fields []Field
	// Drifted says that the table was no longer what the capture was planned for: Fields has all columns that the
	// table had then. Key is nil if the table had lost columns of the key.
	Drifted bool
	// Nested says that a trigger has made it, and not a statement of the app's. What a foreign
	// key's ON DELETE or ON UPDATE has made is not nested. It is not set on SQLite.
	Nested bool
	// ForeignKey is the name of the foreign key whose ON DELETE or ON UPDATE has made it; of several that may have,
	// their names with commas between. Only changes.Store.Transaction sets it, on PostgreSQL, by the foreign keys and
	// triggers that there are now. It is empty where that is not certain: a row refers to one of its own table; a
	// BEFORE trigger or a rule may have changed what the foreign key does; changes of the transaction were lost; or no
	// change has all columns of the key, and this role may not read the row. A statement whose WITH changes both rows
	// is taken for one that leaves the other to the foreign key.
	ForeignKey string

	// Seq is its place in the table of changes on SQLite, by which it is found again; 0 on PostgreSQL, and if it is not known.
	Seq int64
}

// Field is a column's value before and after a change.
type Field struct {
	Name, Type string
	Old, New   Value
}

// Value is one value.
type Value struct {
	// Text is the value as PostgreSQL prints it, nil for NULL and where there is none: before an
	// insert, after a delete, or because it is masked. Of a column in Table.Hash it is the hash in hex.
	Text *string
	// Storage is the value's storage class on SQLite: integer, real, text or blob. The Text of a blob is as SQL has
	// it: X'00FF'. Storage is "" for NULL, and on PostgreSQL.
	Storage string
	// Masked says that the value was not kept. Shortened says that it was shortened: Text is only its length in bytes and its
	// SHA-256 in hex, with a space between; or "stored" and how many bytes it takes in the table; on SQLite the length alone.
	Masked, Shortened bool
}

// String returns the value for people.
func (v Value) String() string {
	switch {
	case v.Masked && v.Text != nil:
		return "(masked " + *v.Text + ")"
	case v.Masked:
		return "(masked)"
	case v.Text == nil:
		return "NULL"
	case v.Shortened:
		return "(" + *v.Text + ")"
	}
	return *v.Text
}

// ErrNotCaptured means that a table was never captured. From a page it comes in an error that says what to
// do. A program that also shows actions may show those alone.
var ErrNotCaptured = errors.New("the table was never captured")

// ErrKey means that no row can have a key, since one of its values is none of its column's type, such as "abc" of an integer. It comes in
// an error that says which. On SQLite, where a column takes values of any type, there is no such error.
var ErrKey = errors.New("no row can have the key")

// ErrFuture means that a row or a table was asked for as of a time in the future, by the database's clock. It comes in an error that has
// both times.
var ErrFuture = errors.New("the time is in the future")

// ClockTolerance is how far a time may be ahead of the database's clock, because the caller's clock may be. It counts as now.
const ClockTolerance = 10 * time.Second

// ErrNoKey means that the rows of a table never had a key when their changes were captured, so that no row can be asked for. It comes in an
// error that says what to do.
var ErrNoKey = errors.New("its rows have no key")

// ErrNoChange is returned where there is no such change, or transaction, in the history.
var ErrNoChange = errors.New("changes: the history has no such change")
