package changes

import (
	"context"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// breaks is [Store.Breaks]. All of them are between two captures, or between the last one and now.
func (s sqlite) breaks(ctx context.Context, table string) ([]Break, error) {
	if err := s.Check(ctx, s.Catalog.DB); err != nil {
		return nil, err
	}
	t, err := s.Look(ctx, s.Catalog.DB, table)
	if err != nil {
		return nil, err
	}
	shapes, err := s.Shapes(ctx, s.Catalog.DB, t.TableID())
	if err != nil {
		return nil, err
	}
	if len(shapes) == 0 {
		return nil, reading.NotCaptured(table)
	}
	captures, err := s.Captures(ctx, s.Catalog.DB, t.TableID(), t.Table)
	if err != nil {
		return nil, catalog.Wrap("read the breaks of "+table, err)
	}
	own, others := catalog.SplitCaptures(captures, t.TableID())
	list, err := s.Between(ctx, s.Catalog.DB, t, own, others, shapes)
	return plain(list), catalog.Wrap("read the breaks of "+table, err)
}
