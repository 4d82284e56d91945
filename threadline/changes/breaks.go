package changes

import (
	"context"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// Breaks returns where the chain of a table's changes is broken, or may be, the oldest first. It
// begins with the beginning of the history. DDL is noticed by the next plan that is applied; changes in
// between that no longer fit are Drifted. Of a table that was never captured the error is [ErrNotCaptured].
func (s *Store) Breaks(ctx context.Context, table string) ([]Break, error) {
	if s, ok := onSQLite(s.reader()); ok {
		return s.breaks(ctx, table)
	}
	if err := s.reader().Catalog.Supported(); err != nil {
		return nil, err
	}
	var list []Break
	err := s.reader().InSnapshot(ctx, s.reader().Catalog.DB, func(r *reading.Snapshot) error {
		r.Past = true
		t, err := r.Look(ctx, table)
		if err != nil {
			return err
		}
		breaks, err := r.Breaks(ctx, t)
		list = plain(breaks)
		return err
	})
	return list, err
}

// plain returns the breaks without what only package reading uses.
func plain(breaks []reading.Break) []Break {
	if breaks == nil {
		return nil
	}
	list := make([]Break, len(breaks))
	for i, b := range breaks {
		list[i] = b.Break
	}
	return list
}
