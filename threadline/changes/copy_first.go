package changes

import (
	"context"
	"database/sql"
	"strconv"

	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// beforeFirst is why an archive lacks changes that were captured before its forwarder was registered.
const beforeFirst = "the app's database has more, captured before the first that was copied"

// note remembers which transaction of a call comes first.
func (c *copier) note(xid int64) {
	if xid > 0 && (c.first == 0 || xid < c.first) {
		c.first = xid
	}
}

// readEarlier makes rows for audit_gaps of the changes of each table that the first copy does not begin with, if there are any: a cursor
// begins with what is committed after it was made, and delivers by transaction ID, so they are of earlier transactions. Nor are those there
// that were purged. The gap is of the last of these transactions, but of no place where a change could be: a replay may copy some of the
// changes, and nothing says when all are there.
func (c *copier) readEarlier(ctx context.Context) error {
	if c.known.seen != "" || c.first == 0 {
		return nil
	}
	earlier := c.from.At("audit_changes") + " c WHERE c.table_id = n.table_id AND c.xid < '" + strconv.FormatInt(c.first, 10) + "'::pg_catalog.xid8 ORDER BY c.captured_at"
	_, err := catalog.ReadAll(ctx, c.app, func(rows *sql.Rows) (_ struct{}, err error) {
		r := gapRow{LSN: "0/0", Op: "changes" + catalog.Undelivered, Reason: beforeFirst}
		var first, last string
		if err = rows.Scan(&r.TableID, &r.XID, &r.StartedAt, &first, &last); err != nil {
			return struct{}{}, err
		}
		for _, r.CapturedAt = range []string{first, last} {
			if err = c.addGap(r); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	}, "SELECT n.table_id, pg_catalog.concat(coalesce(b.xid, '1'::pg_catalog.xid8)), "+pgtext.Time("coalesce(b.tx_started_at, p.last_at)")+", "+pgtext.Time("least(a.captured_at, p.first_at)")+", "+pgtext.Time("greatest(b.captured_at, p.last_at)")+
		" FROM (SELECT DISTINCT m.table_id FROM "+c.from.At("audit_captures")+" m) n"+
		" LEFT JOIN LATERAL (SELECT c.captured_at FROM "+earlier+" LIMIT 1) a ON true"+
		" LEFT JOIN LATERAL (SELECT c.captured_at, c.xid, c.tx_started_at FROM "+earlier+" DESC LIMIT 1) b ON true"+
		" LEFT JOIN LATERAL (SELECT pg_catalog.min(g.first_at) AS first_at, pg_catalog.max(g.last_at) AS last_at FROM "+c.from.At("audit_purges")+" g WHERE g.table_id = n.table_id) p ON true"+
		" WHERE pg_catalog.num_nonnulls(a.captured_at, p.first_at) > 0")
	return err
}
