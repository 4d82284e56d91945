package driver

import (
	"context"
	"strconv"

	"github.com/go-aftercommit/aftercommit/driver/internal/txn"
)

// number returns the number that a query of the driver's own answers; known is
// false where it does not.
func (c *conn) number(ctx context.Context, query string) (n int64, known bool) {
	ctx, cancel := c.unhurried(ctx)
	defer cancel()
	err := c.read(ctx, query, nil, func(row []string) {
		var err error
		n, err = strconv.ParseInt(row[0], 10, 64)
		known = err == nil
	})
	return n, known && err == nil
}

// captureFailed makes events of statements that have failed and yet left
// something behind. How many rows, or whether of this statement of several, is
// not known: they are conditional.
func (c *conn) captureFailed(ctx context.Context, to *txn.Record, j *job) {
	if err := c.lookAfter(ctx, j, false); err != nil {
		return // not on SQLite
	}
	j.keepStmts()
	for i := range j.stmts {
		j.stmts[i].Conditional = true
	}
	for _, f := range c.capture(ctx, to, *j, nil) {
		f.Unread()
	}
}

// bareFailed writes the events of what failed outside any transaction and has
// left something behind, or reports that it could not.
func (c *conn) bareFailed(ctx context.Context, j *job, left bool, err error) {
	if !c.db.dialect.remainsOutside(c, j, left, err) {
		return
	}
	r := c.newRecord()
	c.captureFailed(ctx, r, j)
	events := r.Pending()
	if len(events) == 0 {
		return
	}
	if c.lostBy(err) || c.writeBehind(ctx, events, r.Mode) != nil {
		c.uncaptured(countWrites(j.stmts), "failed")
	}
	c.deliver(ctx)
}
