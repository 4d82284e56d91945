package changes

import (
	"context"
	"errors"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// breaks is [Store.Breaks]. All of them are between notes, or between the last one and now.
func (s sqlite) breaks(ctx context.Context, table string) ([]Break, error) {
	if err := s.Check(ctx, s.catalog.DB); err != nil {
		return nil, err
	}
	t, err := s.Look(ctx, s.catalog.DB, table)
	if err != nil {
		return nil, err
	}
	shapes, err := s.Shapes(ctx, s.catalog.DB, t.TableID())
	if err != nil {
		return nil, err
	}
	if len(shapes) == 0 {
		return nil, neverCaptured(table)
	}
	notes, err := s.Notes(ctx, s.catalog.DB, t.TableID(), t.Table)
	if err != nil {
		return nil, catalog.Wrap("read the breaks of "+table, err)
	}
	own, others := catalog.SplitNotes(notes, t.TableID())
	list, err := s.between(ctx, s.catalog.DB, t, own, others, shapes)
	return plain(list), catalog.Wrap("read the breaks of "+table, err)
}

// between are the breaks between notes, and until now of the table t, nil if it is gone.
func (s sqlite) between(ctx context.Context, q catalog.Querier, t *catalog.SQLiteTable, own, others []*catalog.Capture, shapes map[int64]*catalog.Shape) (list []aBreak, err error) {
	var before *catalog.Capture
	for _, n := range own {
		breaks, failed := breaksBetween(before, n, others, shapes)
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
func (s sqlite) uncaptured(ctx context.Context, q catalog.Querier, t *catalog.SQLiteTable, last *catalog.Capture) ([]aBreak, error) {
	if last == nil || last.ShapeID == nil {
		return nil, nil
	}
	b := Break{Kind: Uncaptured, Schema: "main", Table: t.Table}
	switch {
	case s.Missing(t):
		b.Text = "triggers are missing"
	case t.Grown():
		b.Text = "columns or unique indexes are new, and not captured yet"
	default:
		return nil, nil
	}
	var now string
	if err := q.QueryRowContext(ctx, "SELECT "+catalog.SQLiteNow).Scan(&now); err != nil {
		return nil, err
	}
	var failed [2]error
	b.From, failed[0] = last.Time()
	b.To, failed[1] = time.Parse(lenient.TimeForm, now)
	if b.From.After(b.To) { // the clock was set back
		b.From = b.To
	}
	return []aBreak{{Break: b}}, errors.Join(failed[:]...)
}
