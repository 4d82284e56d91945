package driver

import (
	"context"
	"slices"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/driver/internal/txn"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// transactionCommitted is the action of events that say who may have written in a transaction, where
// no other event does.
const transactionCommitted = "transaction.committed"

// CaptureTransactions has a transaction that may have written unseen say who did. Capture sees no
// writes in a function that a SELECT calls, in CALL and DO, in SQL that it cannot read, by a trigger of a
// statement that changes no row, over driver.Raw, and to tables that its rules leave out; triggers see
// them, such as those of threadline/changes/capture.
//
// For each context (actor, tenant, request, correlation, job, address) in which a transaction has
// executed such a statement, and in which it has no other event with that actor, its COMMIT writes an
// event transaction.committed. A transaction that has written nothing gets none, and no transaction ID;
// locked rows count as written. To find that out takes a round trip at the COMMIT, the one in which
// events are written, unless the transaction
//
//   - has events anyway,
//   - was begun as read-only (sql.TxOptions), or
//   - executed nothing but SELECTs without a parenthesis and without INTO: they call no function, but for
//     those of a view, an operator or a policy.
//
// With pgxdriver it is none. The role in effect at the end needs the rights to write to the journal
// also where the transaction has only read. Otherwise a COMMIT fails for such an event only where it would
// for another: in strict mode, if it has to be written and cannot be. A transaction that is
// read-only at its end is left without.
//
// Statements outside a transaction are not covered, but for those that have events anyway: to say who
// executed SELECT f() or CALL p() there would take a transaction around it, a round trip more, and the
// statement may be one that must not be in any. Where it matters, begin one. On SQLite,
// where functions do not write, only writes to tables that the rules leave out count. Without a journal,
// and on MySQL, the option does nothing.
func CaptureTransactions() Option {
	return func(c *config) error {
		c.transactions = true
		return nil
	}
}

// tellsContexts reports whether a connection notes who may have written unseen.
func (db *database) tellsContexts(is *facts) bool {
	return db.reg.cfg.transactions && is.journaled && journalOf(db.reg.hook, db.dialect.name()) != ""
}

// noteRead notes who executes a query that only reads as far as its text tells.
func (c *conn) noteRead(ctx context.Context, query string) {
	if c.is.procedures && lex.MayCall(query) {
		c.noteWriter(ctx)
	}
}

// noteReads is noteRead for statements that were parsed. If one of them is no query, what it writes has
// an event, or writeInside notes it.
func (c *conn) noteReads(ctx context.Context, j *job) {
	if c.is.procedures && onlyReads(j.stmts) && (j.prepared || lex.MayCall(j.text)) {
		c.noteWriter(ctx)
	}
}

// noteUnseen is noteReads for a string of several statements of which some control transactions.
func (c *conn) noteUnseen(ctx context.Context, stmts []lex.Statement, text string) {
	if c.tells && c.is.procedures && (countWrites(stmts) > 0 || lex.MayCall(text)) {
		c.noteWriter(ctx)
	}
}

// noteWriter notes who executes a statement in the transaction that is open.
func (c *conn) noteWriter(ctx context.Context) {
	if t := &c.tx; t.Open() && t.Mode != hooks.Off && !t.BegunReadOnly && !t.Implicit {
		t.NoteContext(c.origin(ctx))
	}
}

// captureContexts makes the events of those who may have written unseen, where they have none.
func (c *conn) captureContexts() {
	noted := c.tx.Contexts()
	if len(noted) == 0 {
		return
	}
	events := c.tx.Events()
	for _, v := range noted {
		e := c.db.newEvent(txn.Key{Action: transactionCommitted, Target: hooks.Target{Type: "transaction"}, Values: v}, map[string]any{"conditional": true})
		switch same := func(o hooks.Event) bool { return sameContext(&e, &o) }; {
		case slices.ContainsFunc(events, same):
		case len(events) > 0 && e.Actor.IsZero(): // what the others say is all that is known
		default:
			events = append(events, e)
			c.tx.Put([]hooks.Event{e})
		}
	}
}

// sameContext reports whether two events say the same of who, and what for.
func sameContext(a, b *hooks.Event) bool {
	return a.Actor == b.Actor && a.TenantID == b.TenantID && a.RequestID == b.RequestID && a.CorrelationID == b.CorrelationID &&
		a.JobID == b.JobID && a.IPAddress == b.IPAddress
}

func isContext(e hooks.Event) bool { return e.Captured && e.Action == transactionCommitted }

// onlyContexts reports whether events are of those who may have written: unless the transaction has,
// they are not written.
func onlyContexts(events []hooks.Event) bool {
	return len(events) > 0 && !slices.ContainsFunc(events, func(e hooks.Event) bool { return !isContext(e) })
}
