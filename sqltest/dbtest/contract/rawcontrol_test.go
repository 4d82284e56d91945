package contract_test

import "testing"

// TestRawControl: transactions that the app controls with SQL end as the
// server's do, whatever way the words take, and whatever database/sql believes.
func TestRawControl(t *testing.T) {
	check(t, []way{byExec, byQuery, byPrepare},
		kept("begin, commit", "BEGIN | +1 | !a | COMMIT", "1", "a"),
		kept("begin transaction, end", "BEGIN TRANSACTION | +1 | !a | END", "1", "a"),
		kept("start transaction, commit work", "START TRANSACTION | +1 | !a | COMMIT WORK", "1", "a", pg...),
		kept("begin immediate, end transaction", "BEGIN IMMEDIATE | +1 | !a | END TRANSACTION", "1", "a", lite...),
		kept("begin, rollback", "BEGIN | +1 | !a | ROLLBACK", "", ""),
		kept("begin, abort", "BEGIN | +1 | !a | ABORT", "", "", pg...),
		kept("two in a row", "BEGIN | +1 | !a | COMMIT | BEGIN | +2 | !b | ROLLBACK | BEGIN | +3 | !c | COMMIT", "1 3", "a c"),
		kept("captured", "BEGIN | @1 | COMMIT | BEGIN | @2 | ROLLBACK", "1", "orders.inserted"),
		kept("savepoint inside", "BEGIN | +1 | !a | SAVEPOINT s | +2 | !b | ROLLBACK TO s | COMMIT", "1", "a"),
		kept("comments", "/* x */ begin; | +1 | !a | -- y\n commit", "1", "a"),
		kept("a second begin changes nothing", "BEGIN | +1 | !a | BEGIN | +2 | !b | COMMIT", "1 2", "a b"),
		kept("commit without a transaction", "COMMIT | +1 | !a", "1", "a"),
		kept("rollback without a transaction", "+1 | !a | ROLLBACK", "1", "a"),
	)
}

// TestRawControlInsideTx: the app's words end the transaction under
// database/sql's Tx.
func TestRawControlInsideTx(t *testing.T) {
	check(t, []way{byExec, byQuery, byPrepare},
		kept("raw rollback, Commit", "Begin | +1 | !a | ROLLBACK | Commit", "", ""),
		kept("raw rollback, more work, Commit", "Begin | +1 | !a | ROLLBACK | +2 | !b | Commit", "2", "b"),
		kept("raw commit, Commit", "Begin | +1 | !a | COMMIT | Commit", "1", "a"),
		kept("raw commit, Rollback", "Begin | +1 | !a | COMMIT | Rollback", "1", "a"),
		kept("raw commit, more work, Rollback", "Begin | +1 | !a | COMMIT | +2 | !b | Rollback", "1 2", "a b"),
		kept("raw commit, begin, Rollback", "Begin | +1 | !a | COMMIT | BEGIN | +2 | !b | Rollback", "1", "a"),
		kept("raw rollback, begin, Commit", "Begin | +1 | !a | ROLLBACK | BEGIN | +2 | !b | Commit", "2", "b"),
		kept("raw commit, captured autocommit, Commit", "Begin | @1 | COMMIT | @2 | Commit", "1 2", "orders.inserted orders.inserted"),
	)
}

// TestChain: COMMIT AND CHAIN and its brother begin the next transaction at once.
func TestChain(t *testing.T) {
	check(t, []way{byExec, byQuery, byPrepare},
		kept("commit and chain, commit", "BEGIN | +1 | !a | COMMIT AND CHAIN | +2 | !b | COMMIT", "1 2", "a b", pg...),
		kept("commit and chain, rollback", "BEGIN | +1 | !a | COMMIT AND CHAIN | +2 | !b | ROLLBACK", "1", "a", pg...),
		kept("rollback and chain, commit", "BEGIN | +1 | !a | ROLLBACK AND CHAIN | +2 | !b | COMMIT", "2", "b", pg...),
		kept("in a Tx, commit and chain, Commit", "Begin | +1 | !a | COMMIT AND CHAIN | +2 | !b | Commit", "1 2", "a b", pg...),
		kept("in a Tx, commit and chain, Rollback", "Begin | +1 | !a | COMMIT AND CHAIN | +2 | !b | Rollback", "1", "a", pg...),
		kept("in a Tx, rollback and chain, Commit", "Begin | +1 | !a | ROLLBACK AND CHAIN | +2 | !b | Commit", "2", "b", pg...),
		kept("and no chain", "BEGIN | +1 | !a | COMMIT AND NO CHAIN | +2 | !b", "1 2", "a b", pg...),
		kept("aborted, commit and chain", "BEGIN | +1 | !a | +1 | COMMIT AND CHAIN | +2 | !b | COMMIT", "2", "b", pg...),
	)
}

// TestRawCommitOfAborted: a raw COMMIT of an aborted transaction says nil, and
// rolls back.
func TestRawCommitOfAborted(t *testing.T) {
	check(t, []way{byExec, byQuery, byPrepare},
		kept("commit", "BEGIN | +1 | !a | +1 | COMMIT | +2 | !b", "2", "b", pg...),
		kept("in a Tx, raw commit, Commit", "Begin | +1 | !a | +1 | COMMIT | Commit", "", "", pg...),
		kept("a failed statement aborts nothing on SQLite", "BEGIN | +1 | !a | +1 | COMMIT | +2 | !b", "1 2", "a b", lite...),
	)
}
