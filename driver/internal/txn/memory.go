package txn

import (
	"github.com/go-aftercommit/aftercommit/hooks"
)

// Where no rows decide, as on MySQL, what may have been rolled back unseen stays
// without a verdict.

// Found follows something unseen, after which the server has said where the
// connection is: Lost, Idle, or in a transaction. committed says that the
// transaction, if it is over, has committed.
func (t *Tracker) Found(start Start, w Witness, committed bool) Changes {
	var did Changes
	switch {
	case w == Lost:
		if t.open {
			t.endUnseen(&did, hooks.Unknown)
		}
		did.Discard = true
	case w == Idle && t.open && committed:
		t.endUnseen(&did, hooks.Committed)
	case w == Idle && t.open:
		t.endUnseen(&did, hooks.Unknown)
	case w == Other && !t.open:
		t.Begin(start)
	case w == Other && len(t.items) > 0:
		t.Unproven = true
		if len(t.savepoints) > 0 { // it may have gone back to one
			t.unknown(t.takeFrom(t.savepoints[0].items))
		}
	}
	return did
}

// RollbackToUnknown follows a ROLLBACK TO of a savepoint that may be another than
// the one that was seen.
func (t *Tracker) RollbackToUnknown() {
	t.unknown(t.takeFrom(0))
	t.witness = 0
}
