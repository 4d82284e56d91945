package changes

import (
	"context"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// breaks is [Store.Breaks]. All of them are between notes, or between the last one and now.
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
	notes, err := s.Notes(ctx, s.Catalog.DB, t.TableID(), t.Table)
	if err != nil {
		return nil, catalog.Wrap("read the breaks of "+table, err)
	}
	own, others := catalog.SplitNotes(notes, t.TableID())
	list, err := s.Between(ctx, s.Catalog.DB, t, own, others, shapes)
	return plain(list), catalog.Wrap("read the breaks of "+table, err)
}
