package changes

import (
	"context"
	"database/sql"
	"strconv"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// maxStarts is how many transactions of one ID are returned.
const maxStarts = 20

// Starts returns when each transaction with an ID has begun that has row changes, the oldest first and at most 20: a restored database counts
// IDs anew. With its ID and start a transaction is asked for, as in [Store.Transaction].
func (s *Store) Starts(ctx context.Context, xid int64) (starts []time.Time, err error) {
	if s, ok := onSQLite(s.reader()); ok {
		made, failed := s.transaction(ctx, xid, 1)
		if failed != nil || len(made.Changes) == 0 {
			return nil, failed
		}
		return []time.Time{made.Changes[0].TxStartedAt.UTC()}, nil
	}
	if err = s.reader().Catalog.Supported(); err != nil {
		return nil, err
	}
	err = s.reader().InSnapshot(ctx, s.reader().Catalog.DB, func(r *reading.Snapshot) (err error) {
		const id = "$1::pg_catalog.text::pg_catalog.xid8"
		starts, err = catalog.ReadAll(ctx, r.Tx, func(rows *sql.Rows) (t time.Time, err error) {
			err = rows.Scan(&t)
			return t.UTC(), err
		}, "SELECT DISTINCT c.tx_started_at FROM "+r.Reader.At("audit_changes")+" c WHERE "+reading.FirstOfTransaction(id)+" AND "+reading.LastOfTransaction(id)+
			" ORDER BY c.tx_started_at LIMIT "+strconv.Itoa(maxStarts), strconv.FormatInt(xid, 10))
		return catalog.Wrap("look for a transaction", err)
	})
	return starts, err
}
