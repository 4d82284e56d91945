package reading

import (
	"context"
	"database/sql"
	"strconv"

	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// Gap is a row of audit_gaps.
type Gap struct {
	Table      int64
	Op, Reason string
}

// Shows is a condition for rows g of audit_gaps: a change that was not delivered is no gap once it is there. OFFSET 0 keeps the server
// from joining all changes by a hash.
func (s *Reader) Shows() string {
	return "(NOT " + IsUndelivered + " OR NOT EXISTS (SELECT FROM " + s.At("audit_changes") + " h WHERE h.xid = g.xid AND h.lsn = g.lsn AND (h.captured_at = g.captured_at OR g.table_id = " + strconv.Itoa(catalog.AnyTable) + ") OFFSET 0))"
}

// IsUndelivered is a condition for rows g of audit_gaps.
var IsUndelivered = "pg_catalog.strpos(g.op, " + pgtext.Literal(catalog.Undelivered) + ") > 0"

// Gaps are the rows c of audit_gaps with a condition, without those of changes that are kept.
func (s *Reader) Gaps(ctx context.Context, q catalog.Querier, where string, args ...any) ([]Gap, error) {
	list, err := catalog.ReadAll(ctx, q, func(rows *sql.Rows) (g Gap, err error) { return g, rows.Scan(&g.Table, &g.Op, &g.Reason) },
		"SELECT c.table_id, c.op, c.reason FROM (SELECT * FROM "+s.At("audit_gaps")+" g WHERE g.op <> '"+catalog.Unhashed+"' AND "+s.Shows()+") c"+where, args...)
	return list, catalog.Wrap("read the gaps", err)
}
