package changes

import (
	"context"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// printedKey is printed of a separate snapshot, which is opened only if the key has no changes as it is written.
func printedKey(ctx context.Context, s *reading.Reader, l *reading.Lives, table string, key []string) (printed []string, err error) {
	is, err := l.Has(ctx, key)
	if is || err != nil {
		return key, err
	}
	err = s.InSnapshot(ctx, s.Catalog.DB, func(r *reading.Snapshot) error {
		t, failed := r.Look(ctx, table)
		if failed == nil {
			printed, failed = r.Printed(ctx, r.Lives(t), key)
		}
		return failed
	})
	return printed, err
}
