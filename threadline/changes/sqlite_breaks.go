package changes

import (
	"context"
	"database/sql"
	"encoding/json"
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
	notes, err := s.notes(ctx, s.db, t.tableID(), t.Table)
	if err != nil {
		return nil, wrap("read the breaks of "+table, err)
	}
	own, others := splitNotes(notes, t.tableID())
	list, err := s.between(ctx, s.db, t, own, others, shapes)
	return list, wrap("read the breaks of "+table, err)
}

// notes are those of a table, and of others that had its name, in order.
func (s sqlite) notes(ctx context.Context, q querier, id int64, name string) ([]*captured, error) {
	return readAll(ctx, q, func(rows *sql.Rows) (*captured, error) {
		n := &captured{Schema: "main"}
		var shape sql.NullInt64
		var resumed int
		var columns string
		failed := rows.Scan(&n.TableID, &n.NotedAt, &n.Table, &shape, &resumed, &columns)
		if failed == nil {
			failed = json.Unmarshal([]byte(columns), &n.columns)
		}
		if n.Resumed = resumed == 1; shape.Valid {
			n.ShapeID = &shape.Int64
		}
		return n, failed
	}, "SELECT c.table_id, c.noted_at, c.table_name, c.shape_id, c.resumed, c.columns FROM "+s.in("audit_captures")+" c WHERE c.table_id = ?1 OR c.table_id IN (SELECT o.table_id FROM "+s.in("audit_captures")+" o WHERE o.table_name = ?2 COLLATE NOCASE) ORDER BY c.number",
		id, name)
}

// between are the breaks between notes, and until now of the table t, nil if it is gone.
func (s sqlite) between(ctx context.Context, q querier, t *sqliteTable, own, others []*captured, shapes map[int64]*shape) (list []Break, err error) {
	var before *captured
	for _, n := range own {
		breaks, failed := n.since(before, others, shapes)
		if failed != nil {
			return nil, failed
		}
		list, before = append(list, breaks...), n
	}
	if t == nil {
		return list, nil
	}
	now, err := s.uncaptured(ctx, q, t, before)
	return append(list, now...), err
}

// uncaptured is the break that the next plan will note: until then, nothing else says that changes may be missing.
func (s sqlite) uncaptured(ctx context.Context, q querier, t *sqliteTable, last *captured) ([]Break, error) {
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
	if err := q.QueryRowContext(ctx, "SELECT "+sqliteNow).Scan(&now); err != nil {
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
