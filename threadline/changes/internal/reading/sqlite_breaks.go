package reading

import (
	"context"
	"errors"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// Between are the breaks between captures, and those from the last one until now, unless the table is gone and t is nil.
func (s SQLite) Between(ctx context.Context, q catalog.Querier, t *catalog.SQLiteTable, own, others []*catalog.Capture, shapes map[int64]*catalog.Shape) (list []Break, err error) {
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

// uncaptured is the break that the next capture will show: until then, nothing else says that changes may be missing.
func (s SQLite) uncaptured(ctx context.Context, q catalog.Querier, t *catalog.SQLiteTable, last *catalog.Capture) ([]Break, error) {
	if last == nil || last.ShapeID == nil {
		return nil, nil
	}
	b := change.Break{Kind: change.Uncaptured, Schema: "main", Table: t.Table}
	switch {
	case s.Missing(t):
		b.Text = "triggers are missing"
	case t.Grown():
		b.Text = "columns or unique indexes are new, and not captured yet"
	case t.Ignores:
		b.Text = "another trigger fires before those of the capture, and may keep them from firing, by RAISE(IGNORE)"
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
	return []Break{{Break: b}}, errors.Join(failed[:]...)
}
