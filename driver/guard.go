package driver

import "context"

// The guard runs in the same query as the flush. Outside a transaction, also in
// the implicit one of several statements in a string, SAVEPOINT fails, and so it does
// in a failed transaction. Best effort keeps the savepoint, to go back to when the write
// fails.
const (
	guardOnly   = "SAVEPOINT aftercommit_guard; RELEASE SAVEPOINT aftercommit_guard"
	guardStrict = guardOnly + "; "
	guardKeep   = "SAVEPOINT aftercommit_guard; "
	guardSet    = "SAVEPOINT aftercommit_guard"
	guardBack   = "ROLLBACK TO SAVEPOINT aftercommit_guard"
	guardDrop   = "RELEASE SAVEPOINT aftercommit_guard"
)

// guard returns what the loan runs before the first statement. On SQLite the
// transaction was proven already, and the savepoint to go back to is set here.
func (q *querier) guard(ctx context.Context, keep bool) (string, error) {
	switch {
	case !keep && q.is.joins:
		return guardStrict, nil
	case q.is.joins:
		return guardKeep, nil
	case keep:
		return "", q.simple(ctx, guardSet)
	}
	return "", nil
}

// leaveGuard goes back to the savepoint that guard set, or keeps what came after
// it. Where releasing it would cost a round trip, the savepoint stays until the transaction
// ends.
func (q *querier) leaveGuard(ctx context.Context, back bool) error {
	if back {
		if err := q.simple(ctx, guardBack); err != nil || q.is.joins {
			return err
		}
	}
	if q.is.joins {
		return nil
	}
	return q.simple(ctx, guardDrop)
}
