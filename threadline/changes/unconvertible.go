package changes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// A database that is not in UTF-8 may have characters that a session, or the archive, lacks. PostgreSQL then refuses the whole query, so one
// such change would hold up all that come after it. Here the changes are halved until it is alone.

// isUnconvertible reports whether a text could not be converted from one encoding to another.
func isUnconvertible(err error) bool {
	switch hooks.SQLState(err) {
	case "22P05", "22021": // untranslatable_character, character_not_in_repertoire
		return true
	}
	return false
}

// Read implements [relay.Changes].
func (f *Source) Read(ctx context.Context, conn *sql.Conn, entries []*journal.Entry) error {
	err := f.read(ctx, conn, entries)
	switch {
	case !isUnconvertible(err):
		return err
	case len(entries) == 1:
		entries[0].Unreadable = "its row change: " + err.Error()
		return nil
	}
	half := len(entries) / 2
	if err = f.Read(ctx, conn, entries[:half]); err != nil {
		return err
	}
	return f.Read(ctx, conn, entries[half:])
}

// Copy copies the row changes of entries to a store in another database, as they are in the app's, together with what
// is needed to read them there: shapes, captures, gaps, and which transactions had no event. Entries without a
// Change, which are events, are ignored. What the store already has stays as it is.
//
// app is the app's database, as forward.Conn lends it. If a change is gone there, or has characters that the store's database
// lacks, the others are written, and the error, a [forward.Partial], names its entry. Copy is for threadline.Forwarder.
func (f *Source) Copy(ctx context.Context, app *sql.DB, entries []journal.Entry, to *Store) error {
	err := f.copy(ctx, app, entries, to)
	if !isUnconvertible(err) {
		return err
	}
	// If the character is not in a change, but in what is copied with each, such as a table's name, none can be copied.
	if failed := f.copy(ctx, app, nil, to); failed != nil {
		return failed
	}
	failed := make(map[uuid.UUID]error)
	if err = f.copyHalves(ctx, app, entries, to, failed); err != nil || len(failed) == 0 {
		return err
	}
	return forward.Partial(failed)
}

func (f *Source) copyHalves(ctx context.Context, app *sql.DB, entries []journal.Entry, to *Store, failed map[uuid.UUID]error) error {
	err := f.copy(ctx, app, entries, to)
	var partial *forward.PartialError
	switch {
	case errors.As(err, &partial):
		for id, why := range partial.Failed {
			failed[id] = why
		}
		return nil
	case !isUnconvertible(err):
		return err
	case len(entries) == 1:
		failed[entries[0].ID] = forward.Permanent("encoding", fmt.Errorf("its row change cannot be read as UTF-8, or the timeline's database lacks a character of it: %w", err))
		return nil
	}
	half := len(entries) / 2
	if err = f.copyHalves(ctx, app, entries[:half], to, failed); err != nil {
		return err
	}
	return f.copyHalves(ctx, app, entries[half:], to, failed)
}
