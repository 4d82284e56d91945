package threadline

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

var (
	_ forward.Forwarder    = (*Forwarder)(nil)
	_ forward.Attacher     = (*Forwarder)(nil)
	_ forward.SameDatabase = (*Forwarder)(nil)
)

// Forwarder writes committed entries to a timeline. It is safe for concurrent
// use.
type Forwarder struct {
	opts ForwarderOptions
	// dialect is that of the last database that was lent, a guess for the next.
	dialect atomic.Pointer[hooks.Dialect]
}

// ForwarderOptions of a [Forwarder]. The zero value, and nil, mean defaults.
type ForwarderOptions struct {
	// Store is the timeline to write to. Nil means one in the app's own
	// database, over the connections that [forward.Conn] lends: give no Store
	// over the audited *sql.DB itself, whose connections may all be waiting for
	// this very delivery.
	Store *Store
	// Options are those of the timeline in the app's own database.
	Options Options
	// NoMigrate leaves the tables to others: Attach checks them and makes none.
	// In a Store that was given it makes none anyway.
	NoMigrate bool
}

// NewForwarder returns a forwarder; see [ForwarderOptions] for where to.
func NewForwarder(opts *ForwarderOptions) *Forwarder {
	f := &Forwarder{}
	if opts != nil {
		f.opts = *opts
	}
	return f
}

// SameDatabase reports whether the timeline is in the app's own database.
func (f *Forwarder) SameDatabase() bool { return f.opts.Store == nil }

// Attach makes the tables in the app's own database, or checks them. Tables that
// are missing, foreign or too new are a permanent error, "schema_mismatch". On
// SQLite it changes nothing, as the connection may never write: there the first
// Forward makes them.
func (f *Forwarder) Attach(ctx context.Context, db *sql.DB) error {
	if f.opts.Store != nil {
		return permanent(f.opts.Store.Check(ctx))
	}
	dialect, err := detect(ctx, db)
	if err != nil {
		return err
	}
	f.dialect.Store(&dialect)
	store := NewStore(db, dialect, &f.opts.Options)
	switch {
	case dialect == hooks.SQLite:
		return permanent(store.attachable(ctx, f.opts.NoMigrate))
	case f.opts.NoMigrate:
		return permanent(store.Check(ctx))
	}
	return permanent(store.Migrate(ctx))
}

// Forward adds entries to the timeline, by one statement. Entries that the
// timeline cannot hold are left out and named by a partial error, each
// permanent; the others are written. A timeline that does not fit this package
// is a permanent error, "schema_mismatch"; anything else may be tried again.
func (f *Forwarder) Forward(ctx context.Context, entries []journal.Entry) error {
	if f.opts.Store != nil {
		return f.deliver(ctx, f.opts.Store, entries)
	}
	db := forward.Conn(ctx)
	if db == nil {
		return errors.New("threadline: no connection of the app's database was lent; it is tried again with one, or give ForwarderOptions.Store")
	}
	guess := f.dialect.Load()
	var refused error
	if guess != nil {
		refused = f.deliver(ctx, NewStore(db, *guess, &f.opts.Options), entries)
		if refused == nil || !isForeign(refused) {
			return refused
		}
	}
	// No guess, or one that this database did not understand: a program may have
	// databases of both kinds behind one forwarder.
	dialect, err := detect(ctx, db)
	switch {
	case err != nil && guess != nil && f.spoke(*guess, refused):
		return refused // its transaction has failed with it, so that nothing can be asked
	case err != nil:
		return err
	case guess != nil && *guess == dialect:
		return refused
	}
	f.dialect.Store(&dialect)
	return f.deliver(ctx, NewStore(db, dialect, &f.opts.Options), entries)
}

// spoke reports whether the dialect that was refused is the database's: only
// PostgreSQL has SQLSTATEs. If it is the other one, the next delivery begins with
// that.
func (f *Forwarder) spoke(guess hooks.Dialect, refused error) bool {
	dialect := hooks.SQLite
	if hooks.SQLState(refused) != "" {
		dialect = hooks.Postgres
	}
	if guess != dialect {
		f.dialect.Store(&dialect)
	}
	return guess == dialect
}

// record records entries, and on SQLite makes the tables where they are missing:
// Attach has not, and a database in memory is one for each connection.
func (f *Forwarder) record(ctx context.Context, s *Store, entries []journal.Entry) error {
	err := s.Record(ctx, entries)
	if f.opts.Store != nil || f.opts.NoMigrate || s.dialect != hooks.SQLite || !says(err, "no such table") {
		return err
	}
	if err = s.Migrate(ctx); err != nil {
		return err
	}
	return s.Record(ctx, entries)
}

// isForeign reports whether a database may have been spoken to in the dialect of
// another: it found no sense in the statement, or none of its tables.
func isForeign(err error) bool {
	return isMismatch(err) || hooks.SQLState(err) == "42601" || says(err, "syntax error")
}

// detect asks a database which dialect it speaks. SQLite alone has no version().
func detect(ctx context.Context, db *sql.DB) (hooks.Dialect, error) {
	var version string
	err := db.QueryRowContext(ctx, "SELECT version()").Scan(&version)
	switch {
	case err == nil && strings.HasPrefix(version, "PostgreSQL"):
		return hooks.Postgres, nil
	case err == nil:
		return "", forward.Permanent("unsupported_database", errors.New("threadline: "+version+": the timeline lives in PostgreSQL or SQLite; give ForwarderOptions.Store"))
	case says(err, "no such function"), isBusy(err):
		return hooks.SQLite, nil
	default:
		return "", err
	}
}

// deliver records entries and, where some of them cannot be stored, the others.
func (f *Forwarder) deliver(ctx context.Context, s *Store, entries []journal.Entry) error {
	err := f.record(ctx, s, entries)
	if err == nil || !isData(err) {
		return permanent(err)
	}
	failed := map[uuid.UUID]error{}
	f.sift(ctx, s, entries, err, failed)
	return forward.Partial(failed)
}

// sift records what it can of entries, which failed together with err. It halves
// them: a bad one among n costs 2 log n statements, not n.
func (f *Forwarder) sift(ctx context.Context, s *Store, entries []journal.Entry, err error, failed map[uuid.UUID]error) {
	switch {
	case err == nil:
		return
	case !isData(err):
		for i := range entries {
			failed[entries[i].ID] = permanent(err)
		}
		return
	case len(entries) == 1:
		failed[entries[0].ID] = forward.Permanent("invalid_entry", err)
		return
	}
	half := len(entries) / 2
	for _, part := range [][]journal.Entry{entries[:half], entries[half:]} {
		f.sift(ctx, s, part, f.record(ctx, s, part), failed)
	}
}

// permanent marks an error that only a change of the schema can mend.
func permanent(err error) error {
	if err != nil && isMismatch(err) {
		return forward.Permanent("schema_mismatch", err)
	}
	return err
}
