package trail

import (
	"context"

	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

// Causes returns for each of the items, such as those of a page, which events of its transaction stand above it: of a row change
// the statements that may have made it, and what the app has recorded; see [threadline.Store.Causes]. It is the zero
// Cause for an action. The events need not be among the items, and a filter need not match them.
func (r *Reader) Causes(ctx context.Context, items []Item) ([]threadline.Cause, error) {
	var list []changes.Change
	for _, item := range items {
		if item.Change != nil {
			list = append(list, *item.Change)
		}
	}
	found, err := r.timeline.Causes(ctx, r.rows, list)
	if err != nil {
		return nil, err
	}
	causes := make([]threadline.Cause, len(items))
	for i := range items {
		if items[i].Change != nil {
			causes[i], found = found[0], found[1:]
		}
	}
	return causes, nil
}
