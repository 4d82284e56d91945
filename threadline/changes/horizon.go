package changes

import (
	"context"
	"strconv"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// readHorizon returns a time before which all changes are settled: whatever transaction has captured one has
// ended, so that statements after this one see it or never will. db must give each statement a snapshot of its own.
//
// A transaction holds its lock on audit_changes from before its first change until its end, and captures
// nothing before its start. Where the start of one is hidden from this role, or was prepared, or on a standby, which
// does not know of locks, the bound is the start of a transaction that got its ID before all that are in
// progress. In a restored database a lower ID may also be one of the original, and so of a transaction that
// ended before any captured anything here. Both kinds of starts are bounds, so the latest of all is taken.
func readHorizon(ctx context.Context, s *reading.Reader, db catalog.Querier) (time.Time, error) {
	var text string
	err := db.QueryRowContext(ctx, "SELECT "+pgtext.Time("coalesce(h.at, '0001-01-01 00:00:00+00'::pg_catalog.timestamptz)")+" FROM ("+horizonQuery(s)+") h").Scan(&text)
	if err != nil {
		return time.Time{}, err
	}
	return time.Parse(lenient.TimeForm, text)
}

// newestAsked is among how many of a table's newest changes horizonQuery looks for one of a settled transaction. There is none
// if as many were committed since the oldest transaction in progress began, or if all are from before a restore, where IDs
// were higher.
const newestAsked = 100

func horizonQuery(s *reading.Reader) string {
	changes := s.At("audit_changes")
	const settled = "c.xid < pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())"
	return `SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery() AND coalesce(pg_catalog.bool_and(a.xact_start IS NOT NULL), true)
			THEN least(pg_catalog.statement_timestamp(), pg_catalog.min(a.xact_start))
			ELSE greatest((SELECT c.tx_started_at FROM ` + changes + ` c WHERE ` + settled + ` ORDER BY c.xid DESC LIMIT 1),
				(SELECT pg_catalog.max(n.tx_started_at) FROM (SELECT DISTINCT h.table_id FROM ` + s.At("audit_shapes") + ` h) t CROSS JOIN LATERAL (
					SELECT c.tx_started_at FROM (SELECT c.xid, c.tx_started_at, c.captured_at FROM ` + changes + ` c WHERE c.table_id = t.table_id
						ORDER BY c.captured_at DESC LIMIT ` + strconv.Itoa(newestAsked) + `) c WHERE ` + settled + ` ORDER BY c.captured_at DESC LIMIT 1) n)) END AS at
		FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
		WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.granted AND l.relation = ` + pgtext.Literal(changes) + `::pg_catalog.regclass::pg_catalog.oid
			AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())`
}
