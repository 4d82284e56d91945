package driver

import (
	"context"
	"database/sql/driver"
	"slices"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
)

// Triggers that capture row changes on SQLite cannot ask which transaction they are in: it has no
// number. Where there is the table for it, which threadline/changes/capture makes, the driver writes its
// own number of a transaction there before the first statement that writes rows, and takes it away before
// the COMMIT. So nothing but this transaction ever sees it.
//
// It is written by the trigger of a table that stays empty, because what a trigger writes does not count: the app may ask
// for changes() in its next statement, which is 0 then. If it is not 0 before, as many writes keep it.
const (
	markLook = "SELECT count(*) = 3 FROM main.sqlite_master WHERE type || ' ' || name IN" +
		" ('table aftercommit_transaction', 'table aftercommit_transaction_write', 'trigger aftercommit_transaction_write_insert')"
	markSet  = "INSERT INTO main.aftercommit_transaction_write (tx_id) VALUES (?)"
	markKeep = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)" +
		" INSERT INTO main.aftercommit_transaction (only_one, tx_id) SELECT t.only_one, ?1 FROM n, main.aftercommit_transaction t WHERE true" +
		" ON CONFLICT (only_one) DO UPDATE SET tx_id = excluded.tx_id"
	markClear = "INSERT INTO main.aftercommit_transaction_write (tx_id) VALUES (NULL)"
	markErase = "UPDATE main.aftercommit_transaction SET tx_id = NULL"
)

// mostKept bounds what it costs to keep changes(): what was more is this number then.
const mostKept = 1000

// mark is what a connection knows of that.
type mark struct {
	there bool // the table
	asked time.Time
	in    int64 // the transaction that has written its number last
	is    bool  // it is there still
	may   bool  // it may be
	// attached are names of tables that are in an attached file, and not in main.
	attached map[string]bool
}

// doubt notes that what was written may have been undone, or be there again.
func (m *mark) doubt() { m.is, m.may = false, true }

// note has the next look find what was attached.
func (m *mark) note(stmts []lex.Statement) {
	if slices.ContainsFunc(stmts, func(s lex.Statement) bool { return s.Path }) {
		m.asked = time.Time{}
	}
}

// lookForMark looks for the table, outside a transaction: in one that would begin it as a
// reading one.
func (c *conn) lookForMark(ctx context.Context) {
	m := &c.mark
	if !c.is.marks || c.nested() || time.Since(m.asked) <= namesLast {
		return
	}
	if n, known := c.own.number(ctx, markLook); known { // else the file may be locked, which the app may wait for or not
		m.there = n == 1
	}
	m.asked = time.Now()
	if m.there {
		c.lookAttached(ctx)
	}
}

// lookAttached reads the names of tables in attached files. During a transaction, main cannot be asked whether
// it has a table of a name.
func (c *conn) lookAttached(ctx context.Context) {
	ctx, cancel := c.own.unhurried(ctx)
	defer cancel()
	c.mark.attached = nil
	schemas, err := databases(ctx, &c.own)
	if err != nil || len(schemas) == 2 { // temp and main
		return
	}
	names := make(map[string]bool)
	for _, schema := range schemas[2:] {
		_ = c.own.read(ctx, `SELECT name FROM "`+strings.ReplaceAll(schema, `"`, `""`)+`".sqlite_master WHERE type IN ('table', 'view')`+
			" AND name COLLATE NOCASE NOT IN (SELECT name FROM main.sqlite_master)", nil,
			func(row []string) { names[folded(row[0])] = true }) // a name that is not known is taken to be in main
	}
	c.mark.attached = names
}

// mayWriteMain reports whether j may write to the main database.
func (c *conn) mayWriteMain(j *job) bool {
	if j.names.onlyTemporary() {
		return false
	}
	for i := range j.stmts {
		s := &j.stmts[i]
		tables := s.Tables
		if s.On.Name != "" && (len(tables) == 0 || tables[0].Schema == "") { // an index or a trigger is where its table is
			tables = []lex.Table{s.On}
		}
		for _, t := range tables {
			if c.isAttached(j, i, t) {
				return false
			}
		}
	}
	return true
}

// isAttached reports whether t in the i-th statement is in an attached file.
func (c *conn) isAttached(j *job, i int, t lex.Table) bool {
	schema := folded(t.Schema)
	if schema == "" {
		if s := &j.stmts[i]; creates(s) && s.On.Name == "" {
			return false // main is where it is made
		}
		schema = folded(j.names.of(i, t).steps[0].Schema)
	}
	switch schema {
	case "":
		return c.mark.attached[folded(t.Name)]
	case "main", "temp":
		return false
	}
	return true
}

// setMark writes the transaction's number before j, if j may write rows of the main database. An
// error is j's own.
func (c *conn) setMark(ctx context.Context, j *job) error {
	if !c.mark.there || !writesRows(j) || !c.mayWriteMain(j) {
		return nil
	}
	return c.putMark(ctx)
}

// putMark writes the transaction's number, unless it is there. An error means that the write lock
// is not to be had, or may have ended the transaction: what the app wants to execute must not be executed then.
func (c *conn) putMark(ctx context.Context) error {
	m := &c.mark
	number := c.tx.TxNumber()
	if !m.there || m.is && m.in == number {
		return nil
	}
	query, args := markSet, []driver.NamedValue{{Ordinal: 1, Value: number}}
	if n, _ := c.own.number(ctx, changesQuery); n > 0 {
		query, args = markKeep, append(args, driver.NamedValue{Ordinal: 2, Value: min(n, mostKept)})
	}
	_, err := c.own.execAny(ctx, query, args)
	switch {
	case err == nil:
		m.in, m.is, m.may = number, true, true
	case isMarkGone(err):
		m.asked = time.Time{}
		return nil
	}
	return err
}

// isMarkGone recognises what SQLite answers if a table, its column or the trigger was
// dropped. It has executed nothing then. Its code is the general one, so the text decides.
func isMarkGone(err error) bool {
	text := err.Error()
	return slices.ContainsFunc([]string{"no such table", "no such column", "has no column named", "CHECK constraint failed: aftercommit_transaction_write"},
		func(s string) bool { return strings.Contains(text, s) })
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
		if c.own.simple(ctx, markClear) != nil { // the transaction may have dropped the trigger
			_ = c.own.simple(ctx, markErase) // what fails here fails the COMMIT, too, or the transaction has ended
		}
		again()
	}
	m.is, m.may = false, false
}
