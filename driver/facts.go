package driver

import (
	"slices"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
)

// facts are what a dialect answers without a connection. A dialect sets those that hold for
// it; the others are false.
type facts struct {
	// local: the database runs in the app's process. When a call's context ends, no answer
	// is on its way any more, and the call may have taken effect.
	local bool
	// journaled: events are written in the app's transaction. Otherwise the handler gets them
	// from memory, and no rows show how a transaction in doubt has ended.
	journaled bool
	// joins: savepoint, events and COMMIT go to the server in one round trip.
	joins bool
	// statusKnown: a base driver may know what the server says of the transaction.
	statusKnown bool

	// settingWitness: a setting that lasts as long as the transaction shows whether it is still
	// the same.
	settingWitness bool
	// savepointBegins: a savepoint outside any transaction begins one.
	savepointBegins bool
	// savepointReplaces: a savepoint replaces an earlier one of its name.
	savepointReplaces bool
	// savepointWitness: a savepoint before the first event shows at the COMMIT whether the
	// transaction is still the same. Else what is written shows it.
	savepointWitness bool
	// beginCommits: a BEGIN commits the transaction that is open.
	beginCommits bool
	// beginsUnseen: a setting may begin transactions without a statement for it.
	beginsUnseen bool
	// readersStay: a transaction that has only read must not write its events, because it
	// may no longer be able to: they are written after its COMMIT.
	readersStay bool
	// defaults: a session may begin its transactions as read-only or serializable.
	defaults bool
	// firstQuery: some statements must come before the first query of their transaction,
	// also in a string of several; see lead.
	firstQuery bool
	// rowsLock: a transaction that is held open while rows are read keeps locks on them.
	rowsLock bool
	// commitsEach: of several statements in a string each commits by itself. cuts: such a
	// string can be executed as several.
	commitsEach, cuts bool
	// failsInRows: a statement can fail while its rows are read, and leave the transaction
	// as it is.
	failsInRows bool
	// readsMatter: errors and rows of statements that only read may say something about the
	// transaction.
	readsMatter bool
	// openRowsRefuse: while rows are open a base driver may refuse what the driver asks, as
	// lib/pq does.
	openRowsRefuse bool
	// procedures: DO, CALL and EXECUTE may change the session.
	procedures bool

	// plans: what the names in a statement stand for is fixed when it is prepared. named:
	// the base driver may keep prepared statements on the server under a name.
	plans, named bool
	// checksLate: the catalog is asked with the first captured statement, and not when a
	// connection is opened.
	checksLate bool
	// searchPath: names without a schema may come to mean another table at any time.
	searchPath bool
	// foldsNames: names that differ in upper and lower case are the same.
	foldsNames bool
	// temporarySchema stands in events for the schema of a session's temporary tables, which
	// has another name in each session.
	temporarySchema string

	// upserts are the triggers that an upsert may fire.
	upserts changes
	// returnsStored: RETURNING has the row as it is stored, whatever triggers have done.
	returnsStored bool
	// countsReplaced: a row that an upsert has changed counts as two.
	countsReplaced bool
	// marks: triggers cannot ask which transaction they are in, and are told; see mark.
	marks bool
	// uuids: there is a type of UUIDs.
	uuids bool
}

// changesBy returns what an operation may do to rows. A TRUNCATE sees neither
// rows nor rules.
func (f *facts) changesBy(op lex.Op) changes {
	switch op {
	case lex.Insert:
		return inserts
	case lex.Update:
		return updates
	case lex.Delete:
		return deletes
	case lex.Upsert:
		return f.upserts
	case lex.Merge:
		return anyChange
	default:
		return 0
	}
}

// sameName compares names whatever their schemas: one that is not written may be
// the other.
func (f *facts) sameName(a, b lex.Table) bool {
	return a.Name == b.Name || f.foldsNames && folded(a.Name) == folded(b.Name)
}

// perhapsWrote reports whether statements may have written or not.
func (f *facts) perhapsWrote(stmts []lex.Statement) bool {
	return f.readersStay && !slices.ContainsFunc(stmts, func(s lex.Statement) bool { return s.Kind != lex.Schema })
}

// runsBare reports whether statements cannot be put into a transaction:
// because the server forbids it, because they control transactions themselves, or
// because SQLite commits each of several on its own and they could not be cut.
func (f *facts) runsBare(stmts []lex.Statement) bool {
	if f.commitsEach && len(stmts) > 1 {
		return true
	}
	for i := range stmts {
		if stmts[i].NoBlock || (!f.local && stmts[i].EndsUnseen) {
			return true
		}
	}
	return false
}
