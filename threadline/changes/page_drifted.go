package changes

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// driftedColumns returns the columns that the named tables had in changes that have drifted: a column that was added or renamed after a
// plan, and dropped or renamed before the next, is in no shape. Some are unknown if a table has more than [MaxLooked] such changes, since
// each of them has its columns, and no index has these.
func (r *pageReader) driftedColumns(ctx context.Context) (columns []catalog.Column, unknown bool, err error) {
	if _, ok := onSQLite(r.reader); ok {
		return nil, false, nil // where each change has a shape
	}
	type group struct {
		columns sql.NullString
		count   int
	}
	for id := range r.past {
		// The last condition is that of an index.
		groups, err := catalog.ReadAll(ctx, r.tx, func(rows *sql.Rows) (g group, err error) {
			return g, rows.Scan(&g.columns, &g.count)
		}, `SELECT d.columns, pg_catalog.count(*) FROM (SELECT c.columns::pg_catalog.text FROM `+r.reader.At("audit_changes")+` c
			WHERE c.table_id = $1 AND c.shape_id IS NULL AND c.op <> 'T' AND (c.shape_id IS NULL OR c.op = 'T') LIMIT $2) d GROUP BY d.columns`, id, MaxLooked+1)
		if err != nil {
			return nil, false, err
		}
		looked := 0
		for _, g := range groups {
			looked += g.count
			if !g.columns.Valid {
				continue
			}
			var list []catalog.Column
			if err := json.Unmarshal([]byte(g.columns.String), &list); err != nil {
				return nil, false, err
			}
			columns = append(columns, list...)
		}
		unknown = unknown || looked > MaxLooked
	}
	return columns, unknown, nil
}
