package changes

import (
	"context"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// printedKey is the key as the changes have it. It looks at the table itself only if they have none of the key as it is written.
func printedKey(ctx context.Context, r *reading.Snapshot, l *reading.Lives, table string, key []string) ([]string, error) {
	is, err := l.Has(ctx, key)
	if is || err != nil {
		return key, err
	}
	t, err := r.Look(ctx, table)
	if err != nil {
		return nil, err
	}
	return r.Printed(ctx, r.Lives(t), key)
}
