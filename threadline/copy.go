package threadline

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

// changes is the store of row changes beside the timeline.
func (s *Store) changes() *changes.Store {
	return changes.NewStore(s.db, s.speaks, &changes.Options{Schema: s.names.schema})
}

// checkChanges returns an error if the forwarder was registered for row changes, and they cannot be copied.
func (s *Store) checkChanges(ctx context.Context) error {
	if forward.Changes(ctx) == nil {
		return nil
	}
	return s.changes().Copyable(ctx)
}

// RecordGaps implements [forward.GapRecorder]: in another database, row changes that could not be copied are gaps in the history until
// they arrive.
func (f *Forwarder) RecordGaps(ctx context.Context, gaps []relay.Gap) error {
	if f.opts.Store == nil {
		return nil // the timeline is in the app's database, which has its own changes
	}
	source, app, err := lentChanges(ctx)
	if err != nil {
		return err
	}
	return source.CopyGaps(ctx, app, gaps, f.opts.Store.changes())
}

// lentChanges returns what row changes are copied from.
func lentChanges(ctx context.Context) (*changes.Source, *sql.DB, error) {
	source, ok := forward.Changes(ctx).(*changes.Source)
	app := forward.Conn(ctx)
	if !ok || app == nil {
		return nil, nil, errors.New("threadline: row changes come from a Hub, to a forwarder that is registered with forward.WithChanges(changes.NewSource(nil))")
	}
	return source, app, nil
}

// copyChanges copies row changes from the app's database, in one transaction. Without entries it still copies what is needed to read
// those from before, such as new shapes.
func (s *Store) copyChanges(ctx context.Context, entries []journal.Entry) error {
	source, app, err := lentChanges(ctx)
	if err != nil {
		return err
	}
	return source.Copy(ctx, app, entries, s.changes())
}

// divided returns the events and the row changes among entries.
func divided(entries []journal.Entry) (events, changed []journal.Entry) {
	isChange := func(e journal.Entry) bool { return e.Change != nil }
	if !slices.ContainsFunc(entries, isChange) {
		return entries, nil
	}
	for _, e := range entries {
		if isChange(e) {
			changed = append(changed, e)
		} else {
			events = append(events, e)
		}
	}
	return events, changed
}
