package river

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
)

var _ forward.UnworkedQueue = (*Queue)(nil)

// Unworked implements [forward.UnworkedQueue]: it returns the forwarders that have jobs
// older than 15 minutes, while no client of River has reported for as long that it works
// their queue. One that does reports every ten minutes.
func (q *Queue) Unworked(ctx context.Context, db *sql.DB, dialect hooks.Dialect) (names []string, err error) {
	t, err := tablesOf(db, dialect, q.config.Schema)
	if err != nil {
		return nil, err
	}
	jobs, err := t.name(ctx, "river_job")
	if err != nil {
		return nil, err
	}
	queues, err := t.name(ctx, "river_queue")
	if err != nil {
		return nil, err
	}
	query := strings.NewReplacer("{jobs}", jobs, "{queues}", queues, "{kind}", Kind).Replace(t.dialect.statements().unworked)
	names, err = texts(ctx, db, query)
	if pgschema.Denied(err) {
		return nil, nil // an app's role need not see the queues
	}
	if err != nil {
		return nil, fmt.Errorf("river: look for jobs that no process works: %w", err)
	}
	return names, nil
}

// texts returns what a query selects, without what is null or empty.
func texts(ctx context.Context, db *sql.DB, query string) (all []string, err error) {
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
