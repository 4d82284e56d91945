package contract_test

import (
	"database/sql"
	"testing"
)

// TestWriteFree: a transaction that wrote nothing itself is not made a writing
// one; its events follow in one of their own.
func TestWriteFree(t *testing.T) {
	check(t, []way{byExec},
		kept("read", "Begin | SELECT count(*) FROM things | !a | !b | Commit", "", "a b"),
		kept("nothing at all", "Begin | !a | Commit", "", "a"),
		kept("raw", "BEGIN | !a | COMMIT", "", "a"),
		kept("rolled back", "Begin | !a | Rollback", "", ""),
		kept("raw, rolled back", "BEGIN | !a | ROLLBACK", "", ""),
		kept("failed, Commit", "Begin | !a | SELECT nonsense | Commit", "", "", pg...),
		kept("failed, raw COMMIT", "BEGIN | !a | SELECT nonsense | COMMIT", "", "", pg...),
		kept("read only", "BEGIN READ ONLY | !a | COMMIT", "", "a", pg...),
		kept("read only by SET", "Begin | SET TRANSACTION READ ONLY | !a | Commit", "", "a", pg...),
		kept("read only by default", "SET default_transaction_read_only = on | Begin | !a | Commit | !b", "", "a b", pg...),
		kept("read only, a write refused", "BEGIN READ ONLY | !a | +1 | COMMIT", "", "", pg...),
		kept("savepoint", "Begin | !a | SAVEPOINT s | !b | ROLLBACK TO s | !c | Commit", "", "a c"),
		kept("a captured statement that changed nothing", "Begin | UPDATE orders SET note = 'x' WHERE id = 99 | !a | Commit", "", "a"),
		kept("and chain", "BEGIN | !a | COMMIT AND CHAIN | +1 | !b | COMMIT", "1", "a b", pg...),
		kept("and chain, rolled back", "BEGIN | !a | COMMIT AND CHAIN | +1 | !b | ROLLBACK", "", "a", pg...),
	)
}

func TestReadOnlyTx(t *testing.T) {
	each(t, func(w *world) {
		tx, err := w.db.BeginTx(ctx(), &sql.TxOptions{ReadOnly: true})
		w.must(err)
		var n int
		w.must(tx.QueryRowContext(ctx(), "SELECT count(*) FROM things").Scan(&n))
		w.record(tx, "a")
		w.must(tx.Commit())
		w.want("", "a", "a")
	}, pg...)
}

// TestWriteFreeTakesNoXID: the events of a write-free transaction do not make it
// take a transaction number before its COMMIT.
func TestWriteFreeTakesNoXID(t *testing.T) {
	each(t, func(w *world) {
		tx := w.begin()
		w.record(tx, "a")
		var assigned bool
		w.must(tx.QueryRowContext(ctx(), "SELECT pg_current_xact_id_if_assigned() IS NOT NULL").Scan(&assigned))
		if assigned {
			w.Error("recording has given the transaction a number")
		}
		w.must(tx.Commit())
		w.want("", "a", "a")
	}, pg...)
}

// TestReaderAmongWriters: on SQLite in WAL mode a transaction that has read
// cannot become a writing one once another has written; its events must be
// written all the same.
func TestReaderAmongWriters(t *testing.T) {
	each(t, func(w *world) {
		tx := w.begin()
		var n int
		w.must(tx.QueryRowContext(ctx(), "SELECT count(*) FROM things").Scan(&n))
		w.insert(w.bare, 1)
		w.record(tx, "a")
		w.must(tx.Commit())
		w.want("1", "a", "a")
	})
}
