package changes

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
)

// breaks is [Store.Breaks]. All of them are between notes, or between the last one and now.
func (s sqlite) breaks(ctx context.Context, table string) ([]Break, error) {
	if err := s.check(ctx, s.db); err != nil {
		return nil, err
	}
	t, err := s.look(ctx, s.db, table)
	if err != nil {
		return nil, err
	}
	shapes, err := s.shapes(ctx, s.db, t.tableID())
	if err != nil {
		return nil, err
	}
	all, err := readAll(ctx, s.db, func(rows *sql.Rows) (*captured, error) {
		n := &captured{Schema: "main"}
		var shape sql.NullInt64
		var resumed int
		failed := rows.Scan(&n.TableID, &n.NotedAt, &n.Table, &shape, &resumed)
		if n.Resumed = resumed == 1; shape.Valid {
			n.ShapeID = &shape.Int64
		}
		return n, failed
	}, "SELECT c.table_id, c.noted_at, c.table_name, c.shape_id, c.resumed FROM "+s.in("audit_captures")+" c WHERE c.table_id = ?1 OR c.table_id IN (SELECT o.table_id FROM "+s.in("audit_captures")+" o WHERE o.table_name = ?2 COLLATE NOCASE) ORDER BY c.number",
		t.tableID(), t.Table)
	if err != nil {
		return nil, wrap("read the breaks of "+table, err)
	}
	var others []*captured
	for _, n := range all {
		if n.TableID != t.tableID() {
			others = append(others, n)
		}
	}
	var list []Break
	var before *captured
	for _, n := range all {
		if n.TableID != t.tableID() {
			continue
		}
		breaks, err := n.since(before, others, shapes)
		if err != nil {
			return nil, wrap("read the breaks of "+table, err)
		}
		list, before = append(list, breaks...), n
	}
	now, failed := s.uncaptured(ctx, t, before)
	return append(list, now...), wrap("read the breaks of "+table, failed)
}

// uncaptured is the break that the next plan will note: until then, nothing else says that changes may be missing.
func (s sqlite) uncaptured(ctx context.Context, t *sqliteTable, last *captured) ([]Break, error) {
	if last == nil || last.ShapeID == nil {
		return nil, nil
	}
	b := Break{Kind: Uncaptured, Schema: "main", Table: t.Table}
	switch {
	case s.missing(t):
		b.Text = "triggers are missing"
	case t.grown():
		b.Text = "columns or unique indexes are new, and not captured yet"
	default:
		return nil, nil
	}
	var now string
	if err := s.db.QueryRowContext(ctx, "SELECT "+sqliteNow).Scan(&now); err != nil {
		return nil, err
	}
	var failed [2]error
	b.From, failed[0] = last.at()
	b.To, failed[1] = time.Parse(lenient.TimeForm, now)
	if b.From.After(b.To) { // the clock was set back
		b.From = b.To
	}
	return []Break{b}, errors.Join(failed[:]...)
}
