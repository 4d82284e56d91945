package driver

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
)

// Committer is for a base driver that can distinguish the answers to the statements of one
// message. The COMMIT of a transaction of database/sql is then sent together with its events,
// and takes no separate round trip.
type Committer interface {
	// Commit sends message, as one message of the simple protocol, to a server that the
	// connection has a transaction open on: statements without rows, which fail unless it is;
	// one SELECT, which writes the events; and COMMIT. The server executes nothing that
	// comes after a failure.
	//
	// ctx is that of BeginTx. The error is the one that the base driver's Tx.Commit would
	// return, and leaves the connection open or closed as that would. If the server has
	// refused what precedes the COMMIT the connection stays open, for a ROLLBACK.
	Commit(ctx context.Context, message string) (Joined, error)
	// Exec sends a message likewise that may have no COMMIT, in or outside of a transaction of
	// database/sql's. The error is the one that ExecContext of the connection would return.
	Exec(ctx context.Context, message string) (Joined, error)
}

// Joined is what the SELECT of a message has answered.
type Joined struct {
	// Reached says that it was: an error is that of the COMMIT behind it, or was met while
	// waiting for its answer.
	Reached bool
	// Rows is how many rows it returned.
	Rows int64
	// Row is the last of them, as text, with "" for NULL.
	Row []string
}

// LastInsertId implements driver.Result, as base drivers of PostgreSQL do.
func (Joined) LastInsertId() (int64, error) {
	return 0, errors.New("driver: PostgreSQL has no LastInsertId")
}

// RowsAffected implements driver.Result.
func (j Joined) RowsAffected() (int64, error) { return j.Rows, nil }

// WithCommitter is for a base driver of PostgreSQL that has a [Committer]: f gets each new
// connection of the base driver, and returns its Committer, or nil where it has none. In best
// effort, and where another statement than Tx.Commit ends the transaction, the COMMIT remains the
// base driver's. The message has the context of BeginTx, as a COMMIT has; [WriteTimeout] limits
// how long the server waits for locks in it.
func WithCommitter(f func(base driver.Conn) Committer) Option {
	return func(c *config) error {
		if f == nil {
			return errors.New("WithCommitter of nil")
		}
		c.committer = f
		return nil
	}
}

// execRow executes a query that returns at most one row. The result is a Joined where the row
// can be had.
func (c *conn) execRow(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	switch {
	case !c.answers:
		return c.own.execAny(ctx, query, args)
	case c.committer != nil:
		return c.committer.Exec(ctx, query)
	}
	rows, err := c.own.queryUnnamed(ctx, query, nil)
	if err != nil {
		return nil, err
	}
	return readRow(rows)
}

// readRow reads rows of lib/pq to their end: by then lib/pq has read the answers to the statements
// behind the query, too. The error, which may be that of a COMMIT, stays as it is.
func readRow(rows driver.Rows) (joined Joined, err error) {
	dest := make([]driver.Value, len(rows.Columns()))
	for err = rows.Next(dest); err == nil; err = rows.Next(dest) {
		joined.Reached, joined.Row = true, make([]string, len(dest))
		joined.Rows++
		for i, v := range dest {
			joined.Row[i] = plainText(v)
		}
	}
	end := rows.Close()
	if errors.Is(err, io.EOF) {
		err = end
	}
	joined.Reached = joined.Reached || err == nil // and has returned no row
	return joined, err
}

// committerOf returns the Committer of a connection. If another of our connections is below, the
// COMMIT is for that one.
func (c *conn) committerOf() Committer {
	if f := c.db.reg.cfg.committer; f != nil && c.is.joins && !c.nested() {
		return f(c.base)
	}
	return nil
}
