package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
)

// Shapes are those of a table, by their IDs.
func (s SQLite) Shapes(ctx context.Context, db Querier, table int64) (map[int64]*Shape, error) {
	shapes := make(map[int64]*Shape)
	_, err := ReadAll(ctx, db, func(rows *sql.Rows) (sh *Shape, err error) {
		var id int64
		var text string
		if err := rows.Scan(&id, &text); err != nil {
			return nil, err
		}
		sh = &Shape{Number: len(shapes) + 1, Places: []string{SQLitePlace}}
		shapes[id] = sh
		return sh, json.Unmarshal([]byte(text), sh)
	}, "SELECT id, shape FROM "+s.In("audit_shapes")+" WHERE table_id = ? ORDER BY made_at, id", table)
	return shapes, Wrap("read the shapes", err)
}

// Captures are those of a table, and of others that had its name, in order.
func (s SQLite) Captures(ctx context.Context, q Querier, id int64, name string) ([]*Capture, error) {
	return ReadAll(ctx, q, func(rows *sql.Rows) (*Capture, error) {
		n := &Capture{Schema: "main"}
		var shape sql.NullInt64
		var resumed int
		var columns string
		failed := rows.Scan(&n.TableID, &n.NotedAt, &n.Table, &shape, &resumed, &columns)
		if failed == nil {
			failed = json.Unmarshal([]byte(columns), &n.Columns)
		}
		if n.Resumed = resumed == 1; shape.Valid {
			n.ShapeID = &shape.Int64
		}
		return n, failed
	}, "SELECT c.table_id, c.noted_at, c.table_name, c.shape_id, c.resumed, c.columns FROM "+s.In("audit_captures")+" c WHERE c.table_id = ?1 OR c.table_id IN (SELECT o.table_id FROM "+s.In("audit_captures")+" o WHERE o.table_name = ?2 COLLATE NOCASE) ORDER BY c.number",
		id, name)
}
