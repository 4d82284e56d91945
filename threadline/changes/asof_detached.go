package changes

import (
	"context"
	"slices"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
)

// hasLost reports whether the table has lost partitions since its last capture, and perhaps before a moment.
func (a *asOf) hasLost(at time.Time) bool {
	if a.table.LiveTable == nil || len(a.table.Detached) == 0 {
		return false
	}
	captures := a.table.Captures
	return len(captures) == 0 || at.UTC().Format(lenient.TimeForm) > captures[len(captures)-1].NotedAt
}

// inPlace returns an error if a row that was there by its changes may have gone with a partition before a moment: it is not there any
// more, and was not changed since.
func (a *asOf) inPlace(ctx context.Context, at time.Time) error {
	if !a.hasLost(at) {
		return nil
	}
	moment := at.UTC().Format(lenient.TimeForm)
	for _, r := range slices.Backward(a.under) {
		if r.Captured > moment && (r.Op == "U" || r.Op == "D") {
			return nil
		}
	}
	if a.table.Readable {
		if live, err := a.live(ctx, a.key); live != nil || err != nil {
			return err
		}
	}
	return &AsOfError{Err: ErrBroken, Break: hasDetached(a.table)}
}
