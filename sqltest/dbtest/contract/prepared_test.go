package contract_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// TestPrepareTransaction: the events are prepared with the rows, and end as the
// prepared transaction does.
func TestPrepareTransaction(t *testing.T) {
	check(t, []way{byExec, byQuery, byPrepare},
		settled(kept("committed", "BEGIN | +1 | !a | PREPARE TRANSACTION 'p' | COMMIT PREPARED 'p'", "1", "a", pg...)),
		settled(kept("rolled back", "BEGIN | +1 | !a | PREPARE TRANSACTION 'p' | ROLLBACK PREPARED 'p'", "", "", pg...)),
		settled(kept("others meanwhile", "BEGIN | +1 | !a | PREPARE TRANSACTION 'p' | +2 | !b | ROLLBACK PREPARED 'p'", "2", "b", pg...)),
		settled(kept("in a Tx", "Begin | +1 | !a | PREPARE TRANSACTION 'p' | Commit | ^COMMIT PREPARED 'p'", "1", "a", pg...)),
		settled(kept("in a Tx, Rollback", "Begin | +1 | !a | PREPARE TRANSACTION 'p' | Rollback | ^COMMIT PREPARED 'p'", "1", "a", pg...)),
		settled(kept("captured", "BEGIN | @1 | PREPARE TRANSACTION 'p' | COMMIT PREPARED 'p'", "1", "orders.inserted", pg...)),
		settled(kept("write-free, rolled back", "BEGIN | !a | PREPARE TRANSACTION 'p' | ROLLBACK PREPARED 'p'", "", "", pg...)),
		settled(kept("write-free, committed", "BEGIN | !a | PREPARE TRANSACTION 'p' | COMMIT PREPARED 'p'", "", "a", pg...)),
		settled(kept("an aborted one is not prepared", "BEGIN | +1 | !a | +1 | PREPARE TRANSACTION 'p' | COMMIT PREPARED 'p'", "", "", pg...)),
		settled(kept("a name that is taken", "BEGIN | +1 | !a | PREPARE TRANSACTION 'p' | BEGIN | +2 | !b | PREPARE TRANSACTION 'p' | COMMIT PREPARED 'p'", "1", "a", pg...)),
	)
}

// TestPreparedIsNotDecided: as long as it is prepared, nothing is known of it.
func TestPreparedIsNotDecided(t *testing.T) {
	each(t, func(w *world) {
		conn := w.conn()
		w.must(conn.ExecContext(ctx(), "BEGIN"))
		w.insert(conn, 1)
		w.record(conn, "a")
		w.must(conn.ExecContext(ctx(), "PREPARE TRANSACTION 'later'"))
		w.must(w.hub.Settle(ctx()))
		w.want("", "", "")
		if n := w.hub.Pending(); n != 1 {
			w.Errorf("%d transactions are pending, want 1", n)
		}
		w.must(w.bare.ExecContext(ctx(), "COMMIT PREPARED 'later'")) // by somebody else
		w.must(w.hub.Settle(ctx()))
		w.want("1", "a", "a")
		if n := w.hub.Pending(); n != 0 {
			w.Errorf("%d transactions are pending, want none", n)
		}
	}, pg...)
}

// TestPreparedReadOnly: the events of a read-only transaction that is prepared can be written
// neither in it nor after it, and strict mode does not let it go on without them.
func TestPreparedReadOnly(t *testing.T) {
	each(t, func(w *world) {
		conn := w.conn()
		w.must(conn.ExecContext(ctx(), "BEGIN READ ONLY"))
		w.record(conn, "a")
		if _, err := conn.ExecContext(ctx(), "PREPARE TRANSACTION 'readonly'"); err == nil || !strings.Contains(err.Error(), "read-only") {
			t.Errorf("PREPARE TRANSACTION: %v", err)
		}
		if _, err := conn.ExecContext(ctx(), "COMMIT PREPARED 'readonly'"); err == nil {
			t.Error("it is prepared without its event")
		}
		w.want("", "", "")
		w.wantNotice(hooks.NoticeFailed)
		w.insert(conn, 1) // the connection is well
		w.want("1", "", "")
	}, pg...)
}
