package river

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

var _ forward.UnworkedQueue = (*Queue)(nil)

// Unworked implements [forward.UnworkedQueue]: it returns the forwarders that have jobs
// older than 15 minutes, while no client of River has reported for as long that it works
// their queue. One that does reports every ten minutes. It may be asked while an app waits
// for its first connection, so it waits for no lock, and for at most a second.
func (q *Queue) Unworked(ctx context.Context, db *sql.DB, dialect hooks.Dialect) (names []string, err error) {
	t, err := tablesOf(db, dialect, q.config.Schema)
	if err != nil {
		return nil, err
	}
	name, err := t.named(ctx)
	if err != nil {
		return nil, err
	}
	in := strings.NewReplacer("{jobs}", name("river_job"), "{queues}", name("river_queue"), "{kind}", Kind)
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("river: look for jobs that no process works: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	may := false
	if err = tx.QueryRowContext(ctx, in.Replace(t.dialect.statements().quick)).Scan(&may); err == nil && may {
		names, err = texts(ctx, tx, in.Replace(t.dialect.statements().unworked))
	}
	if err != nil {
		return nil, fmt.Errorf("river: look for jobs that no process works: %w", err)
	}
	return names, nil
}

// texts returns what a query selects, without what is null or empty.
func texts(ctx context.Context, db journal.Querier, query string) (all []string, err error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text sql.NullString
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		if text.String != "" {
			all = append(all, text.String)
		}
	}
	return all, rows.Err()
}
