package changes

import (
	"context"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// pastTables are captured tables by their IDs. Only their shapes are read, once.
type pastTables map[int64]*reading.Table

func (tables pastTables) of(ctx context.Context, s *reading.Reader, db catalog.Querier, id int64) (*reading.Table, error) {
	if tables[id] == nil {
		shapes, err := s.Catalog.Shapes(ctx, db, id)
		if err != nil {
			return nil, err
		}
		tables[id] = reading.PastTable(id, shapes)
	}
	return tables[id], nil
}
