package pgxdriver

import (
	"context"
	sqldriver "database/sql/driver"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/go-aftercommit/aftercommit/driver"
)

// Committer returns the driver.Committer of a connection of pgx's stdlib, nil for any
// other.
func Committer(base sqldriver.Conn) driver.Committer {
	c, ok := base.(*stdlib.Conn)
	if !ok {
		return nil
	}
	return &committer{conn: c.Conn()}
}

// committer does what a Commit of pgx does, for a message with more than the COMMIT in it.
// The stdlib's Tx need not know: it has no state beside the connection's.
type committer struct {
	conn   *pgx.Conn
	asked  bool
	tracer pgx.QueryTracer // nil without one, and until asked
}

var _ driver.Committer = (*committer)(nil)

// Commit implements [driver.Committer]. What follows the message is that of pgx's Tx.Commit:
// tx.go.
func (c *committer) Commit(ctx context.Context, message string) (driver.Joined, error) {
	joined, tag, err := c.traced(ctx, message)
	switch {
	case err == nil && tag.String() == "ROLLBACK":
		err = pgx.ErrTxCommitRollback
	case err != nil && !c.awaitsRollback(joined):
		if driver.TxStatus(c.conn.PgConn().TxStatus()) != driver.TxIdle {
			_ = c.conn.Close(ctx) // there is an error to return
		}
	}
	return joined, err
}

// Exec implements [driver.Committer], as the stdlib's ExecContext does.
func (c *committer) Exec(ctx context.Context, message string) (driver.Joined, error) {
	if c.conn.IsClosed() {
		return driver.Joined{}, sqldriver.ErrBadConn
	}
	joined, _, err := c.traced(ctx, message)
	if err != nil && pgconn.SafeToRetry(err) {
		err = sqldriver.ErrBadConn
	}
	return joined, err
}

// awaitsRollback reports whether the server has refused what precedes the COMMIT.
func (c *committer) awaitsRollback(joined driver.Joined) bool {
	return !joined.Reached && driver.TxStatus(c.conn.PgConn().TxStatus()) == driver.TxFailed
}

// traced sends the message as pgx's Exec does, which calls the app's tracer.
func (c *committer) traced(ctx context.Context, message string) (driver.Joined, pgconn.CommandTag, error) {
	if !c.asked { // which copies the whole configuration
		c.asked, c.tracer = true, c.conn.Config().Tracer
	}
	if c.tracer == nil {
		return c.send(ctx, message)
	}
	ctx = c.tracer.TraceQueryStart(ctx, c.conn, pgx.TraceQueryStartData{SQL: message})
	joined, tag, err := c.send(ctx, message)
	c.tracer.TraceQueryEnd(ctx, c.conn, pgx.TraceQueryEndData{CommandTag: tag, Err: err})
	return joined, tag, err
}

// send returns the last of the command tags.
func (c *committer) send(ctx context.Context, message string) (joined driver.Joined, tag pgconn.CommandTag, err error) {
	answers := c.conn.PgConn().Exec(ctx, message)
	for answers.NextResult() {
		answer := answers.ResultReader()
		var row []string
		for answer.NextRow() {
			row = textOf(answer.Values())
		}
		if tag, err = answer.Close(); err == nil && tag.Select() {
			joined = driver.Joined{Reached: true, Rows: tag.RowsAffected(), Row: row}
		}
	}
	return joined, tag, answers.Close()
}

// textOf copies values, which are valid until the next row is read.
func textOf(values [][]byte) []string {
	row := make([]string, len(values))
	for i, v := range values {
		row[i] = string(v)
	}
	return row
}
