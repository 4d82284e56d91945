package threadline

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// HeldError names entries that [Store.Record] has left out, because other transactions
// that have not ended are writing entries of the same IDs. It has written the others.
// Once those transactions have ended, Record may be called again.
type HeldError struct{ IDs []uuid.UUID }

// Error counts the entries and names one.
func (e *HeldError) Error() string {
	return fmt.Sprintf("%d entries are not in the timeline, because another transaction is writing entries of their IDs and is still open; one of them is %s", len(e.IDs), e.IDs[0])
}

// held returns the [HeldError] of entries, of which the database has left some out: what it
// lacks now was left out, or is there no more.
func (s *Store) held(ctx context.Context, entries []journal.Entry) (err error) {
	ids := make([]string, len(entries))
	for i := range entries {
		ids[i] = entries[i].ID.String()
	}
	rows, err := s.db.QueryContext(ctx, "SELECT e.id::pg_catalog.text FROM pg_catalog.unnest("+pgtext.Literal("{"+strings.Join(ids, ",")+"}")+
		"::pg_catalog.uuid[]) AS e (id) WHERE NOT EXISTS (SELECT FROM "+s.names.actions+" a WHERE a.id OPERATOR(pg_catalog.=) e.id)")
	if err != nil {
		return fmt.Errorf("some entries were left out, because another transaction is writing entries of their IDs: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	held := &HeldError{}
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			return err
		}
		held.IDs = append(held.IDs, id)
	}
	if err := rows.Err(); err != nil || len(held.IDs) == 0 {
		return err
	}
	return held
}

// blocked reports whether err is a [HeldError], and adds its entries to failed.
func blocked(err error, failed map[uuid.UUID]error) bool {
	var held *HeldError
	if !errors.As(err, &held) {
		return false
	}
	for _, id := range held.IDs {
		failed[id] = forward.Blocked("held", err)
	}
	return true
}
