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
	if _, err = newDriver(dialect, db); err != nil {
		return nil, err
	}
	jobs, err := jobTable(ctx, db, dialect, q.config.Schema)
	if err != nil {
		return nil, err
	}
	query := unworkedSQLite
	if dialect == hooks.Postgres {
		query = unworkedPostgres
	}
	query = strings.NewReplacer("{jobs}", jobs, "{queues}", strings.TrimSuffix(jobs, "river_job")+"river_queue", "{kind}", Kind).Replace(query)
	names, err = texts(ctx, db, query)
	if pgschema.Denied(err) {
		return nil, nil // an app's role need not see the queues
	}
	if err != nil {
		return nil, fmt.Errorf("river: look for jobs that no process works: %w", err)
	}
	return names, nil
}

const (
	unworkedPostgres = `SELECT DISTINCT pg_catalog.jsonb_extract_path_text(j.args, 'forwarder') AS forwarder FROM {jobs} j
WHERE j.kind = '{kind}' AND j.state::pg_catalog.text IN ('available', 'pending', 'retryable', 'scheduled') AND j.created_at < pg_catalog.now() - '15 min'::pg_catalog.interval
	AND NOT EXISTS (SELECT 1 FROM {queues} q WHERE q.name = j.queue AND q.updated_at >= pg_catalog.now() - '15 min'::pg_catalog.interval) ORDER BY forwarder`
	unworkedSQLite = `SELECT DISTINCT CASE WHEN typeof(j.args) <> 'text' OR json_valid(j.args) THEN json_extract(j.args, '$.forwarder') END AS forwarder FROM {jobs} j
WHERE j.kind = '{kind}' AND j.state IN ('available', 'pending', 'retryable', 'scheduled') AND julianday(j.created_at) < julianday('now', '-15 minutes')
	AND NOT EXISTS (SELECT 1 FROM {queues} q WHERE q.name = j.queue AND julianday(q.updated_at) >= julianday('now', '-15 minutes')) ORDER BY forwarder`
)

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
