package reading

import (
	"context"
	"database/sql"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// Gap is a row of audit_gaps.
type Gap struct {
	Table      int64
	Op, Reason string
}

// Gaps are the rows c of audit_gaps with a condition, without those of changes that are kept.
func (s *Reader) Gaps(ctx context.Context, q catalog.Querier, where string, args ...any) ([]Gap, error) {
	list, err := catalog.ReadAll(ctx, q, func(rows *sql.Rows) (g Gap, err error) { return g, rows.Scan(&g.Table, &g.Op, &g.Reason) },
		"SELECT c.table_id, c.op, c.reason FROM (SELECT * FROM "+s.At("audit_gaps")+" g WHERE g.op <> '"+catalog.Unhashed+"') c"+where, args...)
	return list, catalog.Wrap("read the gaps", err)
}
