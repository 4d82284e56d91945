package journal

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/internal/nildb"
)

// Claim is what [Journal.Claim] has found out.
type Claim int8

const (
	// ClaimOpen says that it cannot be decided here and now: the transaction is in progress,
	// or prepared; the server is a standby; on SQLite, another connection is writing.
	ClaimOpen Claim = iota
	// ClaimWritten says that the transaction has committed: at least one of the keys is in
	// the journal, and [Journal.Written] says which.
	ClaimWritten
	// ClaimNever says that none of the keys is in the journal, and none will be.
	ClaimNever
)

// claimWait is how long a claim waits for a transaction that has written the same key. It is
// short, because a commit of the app may wait for it; a transaction that is over has released
// its rows.
const claimWait = 10 * time.Millisecond

// Claim reports what became of flushes whose transaction is out of sight. On PostgreSQL it
// inserts a tombstone, a row without events, under each key that is not there: a flush that
// arrives later then fails. Readers leave tombstones out. On SQLite nothing can arrive later,
// and nothing is written.
func (j *Journal) Claim(ctx context.Context, db *sql.DB, keys []uuid.UUID) (Claim, error) {
	db = nildb.Replace(db)
	all := ClaimNever
	for len(keys) > 0 {
		n := min(len(keys), mostKeys)
		one, err := j.store.claim(ctx, db, keys[:n])
		if err != nil {
			return ClaimOpen, j.store.explain(ctx, db, fmt.Errorf("journal: claim what may have been written: %w", err), false)
		}
		switch one {
		case ClaimOpen:
			return ClaimOpen, nil
		case ClaimWritten:
			all = ClaimWritten
		}
		keys = keys[n:]
	}
	return all, nil
}
