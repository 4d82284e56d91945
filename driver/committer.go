package driver

import (
	"context"
	"database/sql/driver"
	"errors"
)

// Committer is for a base driver that can tell apart what the statements of one message
// have answered. The COMMIT of a transaction of database/sql then goes with its events and
// takes no round trip of its own.
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
}

// Joined is what a message with a COMMIT has answered before the COMMIT did.
type Joined struct {
	// Reached says that the SELECT was answered: an error is the COMMIT's, or was met while
	// waiting for its answer.
	Reached bool
	// Rows is how many rows it returned.
	Rows int64
}

// WithCommitter is for a base driver of PostgreSQL that has a [Committer]: f gets each new
// connection of the base driver, and returns its Committer, or nil where it has none. In best
// effort, and for what other statements end, the COMMIT remains the base driver's. How long
// the message may take is for BeginTx's context to say, as it is for a COMMIT; [WriteTimeout]
// limits how long the server waits for locks in it.
func WithCommitter(f func(base driver.Conn) Committer) Option {
	return func(c *config) error {
		if f == nil {
			return errors.New("WithCommitter of nil")
		}
		c.committer = f
		return nil
	}
}

// committerOf returns the Committer of a connection. What is below another one of ours is
// for that to commit.
func (c *conn) committerOf() Committer {
	if f := c.db.reg.cfg.committer; f != nil && c.is.joins && !c.nested() {
		return f(c.base)
	}
	return nil
}
