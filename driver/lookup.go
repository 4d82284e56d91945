package driver

import (
	"context"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// lookUp finds out what the names in j's statements stand for, before they are
// executed. An error is the app's: the transaction has failed with it.
func (c *conn) lookUp(ctx context.Context, j *job) error {
	j.names = meanings{k: &c.catalog, stmts: j.stmts, split: firstMove(j.stmts), bare: !c.tx.Open() && c.is.runsBare(j.stmts)}
	if c.db.reg.cfg.rules == nil && !c.mayBeWriteFree() || c.mode() == hooks.Off {
		return nil
	}
	var err error
	if !j.copying && !j.blind {
		c.catalog.checkFirst(ctx)
		err = c.askFor(ctx, &j.names, before, c.tx.Open())
	}
	j.names.early = c.catalog.found
	return err
}

// lookAfter looks up, once the statements have been executed, the names that
// lookUp left out: those behind a statement that may change what names mean and,
// inside a transaction on SQLite, all but temporary tables. There a query before
// the first write to another would start a read transaction, whose first write
// fails with SQLITE_BUSY where it would have waited.
//
// unread says that the app has yet to read j's rows: some SQLite drivers execute a
// statement only then, so that it is too early to ask.
func (c *conn) lookAfter(ctx context.Context, j *job, unread bool) error {
	if c.db.reg.cfg.rules == nil || c.mode() == hooks.Off || j.copying {
		return nil
	}
	late := j.names.split < len(j.stmts)-1
	if late {
		c.catalog.forget()
	}
	if !c.db.dialect.asksAfter(j, late, unread) {
		return nil
	}
	if j.blind && !unread {
		c.catalog.checkFirst(ctx)
	}
	at := before
	if late {
		at = after
	}
	err := c.askFor(ctx, &j.names, at, c.mayBeWriteFree())
	if !late {
		j.names.early = c.catalog.found
	}
	j.names.late = c.catalog.found
	return err
}

// askFor asks the catalog. An error is the app's, whose transaction may have failed with
// it.
func (c *conn) askFor(ctx context.Context, m *meanings, at moment, temporaryOnly bool) error {
	err := c.catalog.ask(ctx, m, at, temporaryOnly)
	if err != nil {
		c.db.dialect.failed(ctx, c, err)
	}
	return err
}

// mayBeWriteFree reports whether the transaction may have written nothing yet, where that
// matters: then the names in its statements are looked up even if nothing is captured.
func (c *conn) mayBeWriteFree() bool {
	return c.is.readersStay && c.tx.Open() && !c.tx.Wrote && c.tx.Mode != hooks.Off
}
