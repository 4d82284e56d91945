package contract_test

import "testing"

// TestSavepoints: what was recorded before the savepoint, and after the
// rollback to it, stays; the rest goes with the app's own rows.
func TestSavepoints(t *testing.T) {
	check(t, []way{byExec, byQuery, byPrepare},
		kept("rollback to", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | ROLLBACK TO s | +3 | !c | Commit",
			"1 3", "a c"),
		kept("rollback to savepoint, in full words", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | ROLLBACK TRANSACTION TO SAVEPOINT s | Commit",
			"1", "a"),
		kept("rollback work to", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | ROLLBACK WORK TO s | Commit",
			"1", "a", pg...),
		kept("release", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | RELEASE s | +3 | !c | Commit",
			"1 2 3", "a b c"),
		kept("release, then rollback", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | RELEASE SAVEPOINT s | Rollback",
			"", ""),
		kept("the savepoint outlives a rollback to it", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | ROLLBACK TO s | +3 | !c | ROLLBACK TO s | +4 | !d | Commit",
			"1 4", "a d"),
		kept("a name used again hides the older one", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | SAVEPOINT s | +3 | !c | ROLLBACK TO s | +4 | !d | Commit",
			"1 2 4", "a b d"),
		kept("releasing the newer of two brings back the older", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | SAVEPOINT s | +3 | !c | RELEASE s | ROLLBACK TO s | Commit",
			"1", "a"),
		kept("nested, to the inner", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | SAVEPOINT t | +3 | !c | ROLLBACK TO t | +4 | !d | Commit",
			"1 2 4", "a b d"),
		kept("nested, to the outer", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | SAVEPOINT t | +3 | !c | ROLLBACK TO s | +4 | !d | Commit",
			"1 4", "a d"),
		kept("the inner released, to the outer", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | SAVEPOINT t | +3 | !c | RELEASE t | +4 | !d | ROLLBACK TO s | Commit",
			"1", "a"),
		kept("releasing the outer releases the inner", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | SAVEPOINT t | +3 | !c | RELEASE s | +4 | !d | Commit",
			"1 2 3 4", "a b c d"),
		kept("names are folded", "Begin | +1 | !a | SAVEPOINT Sp | +2 | !b | ROLLBACK TO sP | Commit",
			"1", "a"),
		kept("quoted names are names", `Begin | +1 | !a | SAVEPOINT "s p" | +2 | !b | ROLLBACK TO "s p" | Commit`,
			"1", "a"),
		kept("quoted names are not folded", `Begin | +1 | !a | SAVEPOINT "S" | +2 | !b | SAVEPOINT s | +3 | !c | ROLLBACK TO "S" | Commit`,
			"1", "a", pg...),
		kept("SQLite folds quoted names too", `Begin | +1 | !a | SAVEPOINT "S" | +2 | !b | SAVEPOINT s | +3 | !c | ROLLBACK TO "S" | Commit`,
			"1 2", "a b", lite...),
		kept("comments and case", "Begin | +1 | !a | /* x */ savepoint /* y */ s -- z\n | +2 | !b | rollback /**/ to s; | Commit",
			"1", "a"),
		kept("events without rows of the app", "Begin | +1 | SAVEPOINT s | !b | ROLLBACK TO s | !c | Commit",
			"1", "c"),
		kept("events before the first write", "Begin | !a | SAVEPOINT s | +2 | !b | ROLLBACK TO s | !c | Commit",
			"", "a c"),
		kept("everything taken back", "Begin | SAVEPOINT s | +2 | !b | ROLLBACK TO s | Commit",
			"", ""),
		kept("captured events", "Begin | @1 | SAVEPOINT s | @2 | ROLLBACK TO s | Commit",
			"1", "orders.inserted"),
		kept("a captured event begun before is not undone", "Begin | SAVEPOINT s | @2 | ROLLBACK TO s | Commit",
			"", ""),
	)
}

// TestSavepointsAndErrors: a rollback to a savepoint heals a transaction that a
// statement has aborted (PostgreSQL), and a savepoint that does not exist aborts
// it.
func TestSavepointsAndErrors(t *testing.T) {
	check(t, []way{byExec},
		kept("healed", "Begin | +1 | !a | SAVEPOINT s | +1 | ROLLBACK TO s | +3 | !c | Commit",
			"1 3", "a c"),
		kept("healed, what was recorded inside is gone", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | +1 | ROLLBACK TO s | Commit",
			"1", "a"),
		kept("no such savepoint", "Begin | +1 | !a | ROLLBACK TO nowhere | Commit",
			"", "", pg...),
		kept("no such savepoint", "Begin | +1 | !a | ROLLBACK TO nowhere | Commit",
			"1", "a", lite...),
		kept("no such savepoint to release", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | RELEASE t | ROLLBACK TO s | Commit",
			"1", "a"),
		kept("a failed SAVEPOINT is none", "Begin | +1 | !a | SAVEPOINT s | +1 | SAVEPOINT t | ROLLBACK TO t | ROLLBACK TO s | +2 | !b | Commit",
			"1 2", "a b", pg...),
		kept("released, no way back", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | RELEASE s | ROLLBACK TO s | Commit",
			"", "", pg...),
		kept("released, no way back", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | RELEASE s | ROLLBACK TO s | Commit",
			"1 2", "a b", lite...),
	)
}

// TestSavepointWithoutTransaction: SQLite's SAVEPOINT outside a transaction
// begins one, and its RELEASE commits it; PostgreSQL refuses.
func TestSavepointWithoutTransaction(t *testing.T) {
	check(t, []way{byExec, byQuery, byPrepare},
		kept("release commits", "SAVEPOINT s | +1 | !a | RELEASE s | +2 | !b", "1 2", "a b", lite...),
		kept("rollback to, then release", "SAVEPOINT s | +1 | !a | ROLLBACK TO s | +2 | !b | RELEASE s", "2", "b", lite...),
		kept("nested", "SAVEPOINT s | +1 | !a | SAVEPOINT t | +2 | !b | ROLLBACK TO t | RELEASE t | RELEASE s", "1", "a", lite...),
		kept("commit ends them all", "SAVEPOINT s | +1 | !a | SAVEPOINT t | +2 | !b | COMMIT", "1 2", "a b", lite...),
		kept("rollback ends them all", "SAVEPOINT s | +1 | !a | SAVEPOINT t | +2 | !b | ROLLBACK | +3 | !c", "3", "c", lite...),
		kept("refused", "SAVEPOINT s | +1 | !a", "1", "a", pg...),
	)
}

// TestOutermostInDoubt: the savepoint that began the transaction may have been set again
// unseen. Then its RELEASE commits nothing.
func TestOutermostInDoubt(t *testing.T) {
	const again = "SAVEPOINT s | +1 | !a | SAVEPOINT s; INSERT INTO things (id) VALUES (1)" // which fails
	check(t, []way{byExec, byQuery},
		kept("released, and rolled back", again+" | !b | RELEASE s | ROLLBACK", "", "", lite...),
		kept("released twice", again+" | !b | RELEASE s | +2 | !c | RELEASE s", "1 2", "a b c", lite...),
		kept("released twice, and goes on", again+" | RELEASE s | RELEASE s | +2 | !b", "1 2", "a b", lite...),
		kept("captured behind it", again+" | RELEASE s | @2 | RELEASE s", "1 2", "a orders.inserted", lite...),
		kept("rolled back to it, and released", again+" | !b | ROLLBACK TO s | +2 | !c | RELEASE s | ROLLBACK", "", "", lite...),
		kept("it was not set again", "SAVEPOINT s | +1 | !a | INSERT INTO things (id) VALUES (1); SAVEPOINT s | !b | RELEASE s | +2 | !c", "1 2", "a b c", lite...),
		kept("another one was set", "SAVEPOINT s | +1 | !a | SAVEPOINT t; INSERT INTO things (id) VALUES (1) | !b | RELEASE s | +2 | !c", "1 2", "a b c", lite...),
	)
}
