package driver

import (
	"context"

	"github.com/go-aftercommit/aftercommit/driver/internal/txn"
)

// captureFailed makes events of statements that have failed and yet left
// something behind. How many rows, or whether of this statement of several, is
// not known: they are conditional.
func (c *conn) captureFailed(ctx context.Context, to *txn.Record, j *job) {
	if err := c.lookAfter(ctx, j, false); err != nil {
		return // the names are not known
	}
	j.keepStmts()
	for i := range j.stmts {
		j.stmts[i].Conditional = true
	}
	for _, f := range c.capturer.capture(ctx, to, j, nil) {
		f.Unread()
	}
}

// bareFailed writes the events of what failed outside any transaction and has
// left something behind, or reports that it could not.
func (c *conn) bareFailed(ctx context.Context, j *job, left bool, err error) {
	if !c.db.dialect.remainsOutside(j, left, err, c.opt.lostBy) {
		return
	}
	r := c.newRecord()
	c.captureFailed(ctx, r, j)
	events := r.Pending()
	if len(events) == 0 {
		return
	}
	if c.opt.lostBy(err) || c.writeBehind(ctx, events, r.Mode) != nil {
		c.uncaptured(countWrites(j.stmts), "failed")
	}
	c.deliver(ctx)
}
