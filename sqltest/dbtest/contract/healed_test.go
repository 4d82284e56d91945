package contract_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestHealed: the string that heals a failed transaction comes with others.
func TestHealed(t *testing.T) {
	check(t, []way{byExec},
		kept("rollback to; savepoint", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | +1 | ROLLBACK TO s; SAVEPOINT u | +3 | !c | Commit", "1 3", "a c"),
		kept("rollback to; write", "Begin | +1 | !a | SAVEPOINT s | +1 | ROLLBACK TO s; INSERT INTO things (id) VALUES (5) | !b | Commit", "1 5", "a b"),
		kept("healthy, rollback to; commit", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | ROLLBACK TO s; COMMIT | !c", "1", "a c"),
		kept("healthy, read; rollback to; commit", "BEGIN | +1 | !a | SAVEPOINT s | +2 | !b | SELECT 1; ROLLBACK TO s; COMMIT | !c", "1", "a c"),
		kept("nested, rollback to; commit", "BEGIN | +1 | !a | SAVEPOINT s | +2 | !b | SAVEPOINT t | +3 | !c | SELECT 1; COMMIT", "1 2 3", "a b c"),
		kept("rollback to the outer; commit", "BEGIN | +1 | !a | SAVEPOINT s | +2 | !b | SAVEPOINT t | +3 | !c | ROLLBACK TO s; SAVEPOINT v; COMMIT", "1", "a"),
		kept("rollback to; commit; begin", "BEGIN | +1 | !a | SAVEPOINT s | +2 | !b | ROLLBACK TO s; COMMIT; BEGIN | +3 | !c | ROLLBACK", "1", "a"),
		kept("rollback to; rollback", "BEGIN | +1 | !a | SAVEPOINT s | +2 | !b | ROLLBACK TO s; ROLLBACK", "", ""),
		kept("rollback; begin", "Begin | +1 | !a | +1 | ROLLBACK; BEGIN | +2 | !b | Commit", "2", "b"),
		kept("rollback to; commit", "BEGIN | +1 | !a | SAVEPOINT s | +2 | !b | +1 | ROLLBACK TO s; COMMIT | !c", "1", "a c", pg...),
		kept("commit of a failed one; begin", "Begin | +1 | !a | +1 | COMMIT; BEGIN | +2 | !b | Commit", "2", "b", pg...),
		kept("recorded while failed", "Begin | +1 | SAVEPOINT s | +1 | !a | ROLLBACK TO s | !b | Commit", "1", "b"),
	)
}

// TestBeginTxInRawTransaction: pgx and SQLite let it pass with a warning, or
// refuse it, and the transaction goes on.
func TestBeginTxInRawTransaction(t *testing.T) {
	check(t, []way{byExec},
		kept("BeginTx in a raw transaction", "BEGIN | +1 | !a | Begin | COMMIT", "1", "a", dbtest.PGX, dbtest.SQLite),
		kept("BeginTx in a raw transaction, refused", "BEGIN | +1 | !a | Begin | COMMIT", "", "", dbtest.PQ),
	)
}
