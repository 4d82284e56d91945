package hooks

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"time"

	"github.com/google/uuid"
)

// Hook is what a driver name is registered with. forward.Hub is the one that
// journals and forwards.
type Hook interface {
	// Open is called once for each database that is opened, before it has a
	// connection: by sql.Open, WrapConnector, or, for wrappers that open each
	// connection by driver.Driver's Open, with the first one. It must do no I/O;
	// sql.Open returns its error. It may be called concurrently.
	Open(db Database) (Handler, error)
}

// Journaled is a [Hook] that keeps the events in tables of the database itself.
type Journaled interface {
	// Journal identifies those tables in a database of dialect, for example by their
	// schema; it is "" without any. A database is not opened through two hooks with the same
	// ones, which would have each event twice.
	Journal(dialect Dialect) string
}

// Database describes to a Hook the database that is being opened.
type Database struct {
	// Driver is the name that was registered, as "postgres-audited".
	Driver string
	// Dialect is how the database is spoken to.
	Dialect Dialect
	// Connector opens connections of the base driver, past the wrapper. A
	// Handler that needs connections beside the app's passes it to sql.OpenDB. On
	// PostgreSQL their transactions are read committed and read-write unless begun
	// with other options, whatever the session's defaults are.
	Connector driver.Connector
	// Mode returns the current mode.
	Mode func() Mode
	// Capture says in words for the log which tables are captured.
	Capture string
}

// Dialect is a family of databases.
type Dialect string

// The dialects that the driver knows the transaction control of.
const (
	Postgres Dialect = "postgres"
	SQLite   Dialect = "sqlite"
	MySQL    Dialect = "mysql" // and MariaDB; without a journal
)

// Handler writes and forwards the events of one database.
//
// The driver calls it from the goroutine that uses the connection, so its
// methods are called concurrently, though never twice at once for the same
// connection. A panic in any of them is recovered by the driver and counts as
// an error. A Handler that is an io.Closer is closed with its database.
type Handler interface {
	// Connect is called for every new connection before the app has it, for
	// what must be checked or made first, such as tables; for a connection that
	// was opened while the mode was off, before its first transaction in another
	// mode. Its error is that of the connection attempt, or of what begins that
	// transaction; in best effort it is only a notice, unless the connection is
	// lost. conn is idle, as [Ended.Conn] is, and revoked when Connect returns.
	Connect(ctx context.Context, conn *sql.DB) error

	// Flush writes f.Events inside the transaction that f.Conn is in and
	// reports whether it did. false with a nil error means that the transaction
	// has written nothing, so that the events belong after its COMMIT: the driver
	// then calls Flush again, with Must set, in a transaction that it opens for
	// them; or in the same one, if there is no such moment (it is prepared, or
	// chained) or the driver has seen it write. An error makes the driver roll
	// back in strict mode.
	//
	// ctx need not end when Flush returns: nothing may go on waiting for that.
	//
	// A transaction may be flushed several times, each time with the events since
	// the last one; and what was flushed may be rolled back without a call of End,
	// as in the trial before a statement that cannot share a transaction with its
	// events.
	Flush(ctx context.Context, f Flush) (written bool, err error)

	// End is called after a transaction that had events, whether they were
	// flushed or it was rolled back before. It returns the outcome as far as it
	// knows better: for [Unknown] with a usable Conn it finds out what became of the
	// writes. It runs inside the app's Commit, so it bounds its own time.
	End(ctx context.Context, end Ended) Outcome

	// Notify passes a notice on to observers. It must not block.
	Notify(n Notice)
}

// Conn is a connection that the driver lends to a Handler until the called method returns. It
// is safe for concurrent use; calls run one at a time. If a call is still running when the
// method returns, or rows, a statement or a transaction are still open, the app loses the
// connection once its transaction is over, and nothing else.
type Conn interface {
	// ExecContext executes one statement on the connection itself, past database/sql, so
	// that args must be of the types of a driver.Value. It must not begin or end a
	// transaction, and must not change the session.
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	// QueryRow is ExecContext for a query that returns at most one row. n is how many it has
	// returned, and row its values as text, "" for NULL. row is nil without a row, and where the
	// base driver cannot return one in the round trip that the query takes.
	QueryRow(ctx context.Context, query string) (row []string, n int64, err error)
	// DB returns a *sql.DB with exactly this one connection, for what the other methods cannot do.
	// It is made on the first call; later calls return the same. When the loan ends, calls
	// that are running on it are cancelled.
	DB() *sql.DB
}

// MaxFlush is how many events a [Flush] has at most. A transaction with more is flushed in
// several parts.
const MaxFlush = 1000

// Flush is one write of a transaction's events.
type Flush struct {
	// Conn is the transaction's own connection. Begin, Commit and Rollback on its DB do
	// nothing. On PostgreSQL the driver guards the first statement, so that it
	// fails with SQLSTATE 25P01 or 25P02 if the transaction is not open; a
	// first statement without arguments needs no extra round trip for that.
	Conn Conn
	// Events in the order in which they were recorded: at least one, at most [MaxFlush].
	// The Handler must not change them.
	Events []Event
	// Key is a UUIDv7, new for each Flush, and greater than the keys of earlier flushes of the
	// transaction. A Handler that stores it under a unique constraint can find out later
	// whether the flush was committed; see [Ended.Writes].
	Key uuid.UUID
	// Tx is a random number that is the same in all flushes of a transaction.
	Tx int64
	// Must says that the events must be written now, whatever the transaction has
	// done, as in one that was begun for them alone. Flush must then write them or
	// return an error.
	Must bool
	// Wrote says that the driver has seen the transaction write, though perhaps only what
	// the server does not count, such as a row of a foreign table. Flush must then write the
	// events, unless the transaction is read-only now.
	Wrote bool
	// Timeout is how long the write may take.
	Timeout time.Duration
	// Final, unless it is nil, saves a round trip: it puts the COMMIT behind a
	// query without arguments that writes the events and is the last one on Conn,
	// to be executed by its QueryRow. With Must the number of rows that such a query
	// reports may be that of the COMMIT; without, the query is a SELECT and the number is its
	// own.
	Final func(query string) string
	// Initial says that the transaction has not been flushed before.
	Initial bool
	// Keep, unless it is nil, keeps v for [Write.Kept]. It is there where the database's answer
	// to the write can be had, and nothing is to come between the write and the COMMIT.
	Keep func(v any)
}

// Write is what remains of one flush when its transaction has ended: some of its events may
// have been rolled back to a savepoint.
type Write struct {
	// Key is the flush's.
	Key uuid.UUID
	// First is the index, in the flush, of the first of Events.
	First  int
	Events []Event
	// Kept is what Flush.Keep was given. It is nil unless it is certain that all of the write
	// stands, in a transaction that has committed.
	Kept any
}

// Ended is how a transaction ended, or one of the parts into which raw
// transaction control cut it.
type Ended struct {
	Outcome Outcome
	// Events are those of the transaction, in order; never empty. If it was
	// rolled back, they may not have been flushed. The Handler must not change
	// them.
	Events []Event
	// Writes are the flushes that may be in the database, in order, without those that were
	// seen to be rolled back. They are certainly there only if the transaction committed and
	// the driver saw all of it.
	Writes []Write
	// MaybeWriteFree says that the transaction may have committed without Writes, because it had
	// written nothing itself: that none is in the database does not show a rollback.
	MaybeWriteFree bool
	// Tx is [Flush.Tx]. It may be 0 if there was no flush.
	Tx int64
	// Prepared says that the transaction was handed to the server by PREPARE
	// TRANSACTION and ends later, elsewhere; Outcome is Unknown.
	Prepared bool
	// Conn is the connection that committed, now idle and outside any transaction. It is
	// nil if that cannot be used.
	Conn Conn
}
