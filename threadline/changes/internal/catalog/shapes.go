package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"strconv"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Shapes are those of a table, by their IDs.
func (s *Database) Shapes(ctx context.Context, db Querier, tableID int64) (map[int64]*Shape, error) {
	if s.Dialect == hooks.SQLite {
		return SQLite{s}.Shapes(ctx, db, tableID)
	}
	shapes := make(map[int64]*Shape)
	_, err := ReadAll(ctx, db, func(rows *sql.Rows) (sh *Shape, err error) {
		var id int64
		var text string
		if err := rows.Scan(&id, &text); err != nil {
			return nil, err
		}
		sh = &Shape{Number: len(shapes) + 1}
		shapes[id] = sh
		return sh, json.Unmarshal([]byte(text), sh)
	}, "SELECT id, shape::pg_catalog.text FROM "+s.At("audit_shapes")+" WHERE table_id = "+strconv.FormatInt(tableID, 10)+" ORDER BY made_at, id") // without arguments for the sake of a forwarder behind a pooler
	return shapes, Wrap("read the shapes", err)
}
