package threadline

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// maxStarts is how many transactions of one ID are returned.
const maxStarts = 20

// Starts returns when each transaction with an ID has begun of which the timeline has events, the oldest first and at most 20: a restored
// database counts IDs anew. With its ID and start a transaction is asked for, as in [Store.Story].
func (s *Store) Starts(ctx context.Context, id int64) (starts []time.Time, err error) {
	if err = s.known(); err != nil {
		return nil, err
	}
	rows, err := s.db.QueryContext(ctx, s.dialect.bind(fmt.Sprintf("SELECT DISTINCT tx_started_at FROM %s WHERE tx_id = ? ORDER BY tx_started_at LIMIT %d", s.names.contexts, maxStarts)), id)
	if err == nil {
		starts, err = scanTimes(rows)
	}
	if err != nil && !s.unmade(ctx, err) {
		return nil, s.explain(ctx, "look for a transaction", err)
	}
	return starts, nil
}

func scanTimes(rows *sql.Rows) (times []time.Time, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var v any
		if err = rows.Scan(&v); err != nil {
			return nil, err
		}
		t, ok := v.(time.Time)
		if !ok { // SQLite has no type for times
			if t, err = time.Parse(time.RFC3339Nano, fmt.Sprintf("%s", v)); err != nil {
				return nil, err
			}
		}
		times = append(times, t.UTC())
	}
	return times, rows.Err()
}
