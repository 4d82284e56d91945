package driver

import (
	"context"
	"fmt"
)

// DDL on SQLite may find that there is nothing to do, as CREATE TABLE IF NOT EXISTS
// does with a table that exists. It takes a read lock then, and no count of changes
// shows it. A transaction that has done no more can no longer write once another
// connection has, however long its busy timeout is, and must not try. So the locks are
// asked whether it has written.

// doubtWrote leaves it to the locks whether the transaction has written, if j is all that may
// have. wrote says that it had before j.
func (c *conn) doubtWrote(j *job, wrote bool) {
	if t := &c.tx; t.Wrote && !wrote && c.is.perhapsWrote(j.stmts) {
		t.Perhaps, t.Wrote = true, false
	}
}

// holdsMain reports whether the transaction can write to main: it has the write lock
// if it has written there, else it takes the lock, or is refused at once. Then it has
// written nothing, unless to an attached database, which only the names of a
// statement outside a transaction exclude.
func (c *conn) holdsMain(ctx context.Context) bool {
	if schemas, err := databases(ctx, &c.own); !c.tx.Implicit && (err != nil || len(schemas) > 2) { // more than temp and main
		return true
	}
	defer c.db.dialect.writable(ctx, c)()
	version, known := c.own.number(ctx, "PRAGMA main.user_version")
	if !known {
		return true
	}
	ctx, cancel := c.own.unhurried(ctx)
	defer cancel()
	return !cannotWrite(c.own.simple(ctx, fmt.Sprintf("PRAGMA main.user_version = %d", version)))
}
