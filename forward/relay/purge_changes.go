package relay

import (
	"context"
	"database/sql"
	"errors"
)

// ChangesPurge deletes row changes beside a purge of the journal: see [PurgeOptions.Changes]. changes.KeptIn makes one.
type ChangesPurge interface {
	// Purge deletes the changes of transactions of which all were captured before o.Before, in transactions of about o.Batch
	// rows. Each begins with the statements of lock. free is a condition for the xid of a transaction e: no forwarder has yet to
	// settle its changes, or has discarded one. It returns how many it has deleted, or with o.Dry would, and how many it
	// has left that were captured before.
	Purge(ctx context.Context, db *sql.DB, free, lock string, o PurgeOptions) (deleted, kept int64, err error)
}

// mayPurgeChanges refuses what cannot be done.
func (s *Store) mayPurgeChanges(o *PurgeOptions) error {
	if _, is := s.d.(postgres); o.Changes != nil && !is {
		return errors.New("relay: purge: row changes are delivered on PostgreSQL only, so leave out PurgeOptions.Changes")
	}
	return nil
}

// purgeChanges is Purge for row changes. elsewhere says that all is kept.
func (s *Store) purgeChanges(ctx context.Context, db *sql.DB, o PurgeOptions, place string, elsewhere bool, p *Purged) (err error) {
	if o.Changes == nil || elsewhere {
		return nil
	}
	free := "NOT EXISTS (SELECT 1 FROM " + s.prefix + "cursors f WHERE f.retired_at IS NULL AND (" + s.elsewhere(place) + " OR NOT " + s.d.settledFor() + "))" +
		" AND e.xid::pg_catalog.text::pg_catalog.int8 NOT IN (SELECT " + xidOf("x.key") + " FROM " + s.prefix + "retries x WHERE x.key >= " + s.d.uuid(leastChange) + ")"
	p.Changes, p.ChangesKept, err = o.Changes.Purge(ctx, db, free, s.d.lockForPurge(s), o)
	return err
}
