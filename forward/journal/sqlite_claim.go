package journal

import (
	"context"
	"database/sql"
	"errors"

	"github.com/google/uuid"
)

// claim takes the write lock, which the transaction holds until it is over. Nothing can
// arrive later: the database is in this process.
func (s *sqlite) claim(ctx context.Context, db *sql.DB, keys []uuid.UUID) (found Claim, err error) {
	err = withConn(ctx, db, 0, func(conn *sql.Conn) error {
		_, busy := conn.ExecContext(ctx, "BEGIN IMMEDIATE")
		if busy != nil {
			if isBusy(busy) {
				return nil
			}
			return busy
		}
		var n int
		e := conn.QueryRowContext(ctx, "SELECT count(*) FROM "+s.table()+" WHERE key "+s.among(keys)).Scan(&n)
		_, back := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		if found = ClaimNever; n > 0 {
			found = ClaimWritten
		}
		return errors.Join(e, back)
	})
	if err != nil {
		return ClaimOpen, err
	}
	return found, nil
}
