package driver

import (
	"context"
	"database/sql/driver"
	"time"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
)

// Triggers that capture row changes on SQLite cannot ask which transaction they are in: it has no
// number. Where there is the table for it, which threadline/changes makes, the driver writes its
// own number of a transaction there before the first statement that writes rows, and takes it away before
// the COMMIT. So nothing but this transaction ever sees it.
const (
	markLook  = "SELECT EXISTS (SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = 'aftercommit_transaction')"
	markSet   = "UPDATE main.aftercommit_transaction SET tx_id = ?"
	markClear = "UPDATE main.aftercommit_transaction SET tx_id = NULL"
)

// mark is what a connection knows of that.
type mark struct {
	there bool // the table
	asked time.Time
	in    int64 // the transaction that has written its number last
	is    bool  // it is there still
	may   bool  // it may be
}

// doubt notes that what was written may have been undone, or be there again.
func (m *mark) doubt() { m.is, m.may = false, true }

// lookForMark looks for the table, outside a transaction: in one that would begin it as a
// reading one.
func (c *conn) lookForMark(ctx context.Context) {
	if m := &c.mark; c.is.marks && !c.nested() && time.Since(m.asked) > namesLast {
		if n, known := c.own.number(ctx, markLook); known { // else the file may be locked, which the app may wait for or not
			m.there = n == 1
		}
		m.asked = time.Now()
	}
}

// setMark writes the transaction's number before j, if j may write rows of the main database. An
// error is j's own, because it needs the same lock.
func (c *conn) setMark(ctx context.Context, j *job) error {
	m := &c.mark
	if !m.there || m.is && m.in == c.tx.TxNumber() || !writesRows(j) || !writesMain(j) || j.names.onlyTemporary() {
		return nil
	}
	_, err := c.own.execAny(ctx, markSet, []driver.NamedValue{{Ordinal: 1, Value: c.tx.TxNumber()}})
	switch {
	case err == nil:
		m.in, m.is, m.may = c.tx.TxNumber(), true, true
	case cannotWrite(err):
		return err
	default:
		m.asked = time.Time{} // the table may be gone
	}
	return nil
}

func writesRows(j *job) bool {
	for i := range j.stmts {
		if j.stmts[i].Kind == lex.Write {
			return true
		}
	}
	return false
}

// clearMark takes the number away before the transaction may be committed.
func (c *conn) clearMark(ctx context.Context) {
	m := &c.mark
	if !m.may || !c.tx.Open() || m.in != c.tx.TxNumber() {
		return
	}
	ctx, cancel := c.own.unhurried(context.WithoutCancel(ctx))
	defer cancel()
	if c.own.simple(ctx, markClear) != nil { // the app may have made it read-only since
		again := c.db.dialect.writable(ctx, c)
		_ = c.own.simple(ctx, markClear) // what fails here fails the COMMIT, too, or the transaction has ended
		again()
	}
	m.is, m.may = false, false
}
