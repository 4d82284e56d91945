package threadline

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"strings"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/nildb"
)

var (
	_ forward.Forwarder    = (*Forwarder)(nil)
	_ forward.Attacher     = (*Forwarder)(nil)
	_ forward.GapRecorder  = (*Forwarder)(nil)
	_ forward.SameDatabase = (*Forwarder)(nil)
)

// Forwarder writes committed entries to a timeline. It is safe for concurrent
// use.
type Forwarder struct {
	opts ForwarderOptions
}

// ForwarderOptions of a [Forwarder]. The zero value, and nil, mean defaults.
type ForwarderOptions struct {
	// Store is the timeline to write to. Nil means one in the app's own
	// database, over the connections that [forward.Conn] lends: give no Store
	// over the audited *sql.DB itself, whose connections may all be waiting for
	// this very delivery.
	//
	// In another database it also keeps row changes, if it is registered with forward.WithChanges: on PostgreSQL, in the
	// same schema, as the app's database does. Package capture makes their tables there, by Installer.Migrate.
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
// are missing, foreign or too new are a permanent error, "schema_mismatch"; a role that
// may not use their schema is another, "insufficient_privilege". On SQLite it changes
// nothing, as the connection may never write: there the first Forward makes them.
func (f *Forwarder) Attach(ctx context.Context, db *sql.DB) error {
	db = nildb.Replace(db)
	if f.opts.Store != nil {
		return permanent(errors.Join(f.opts.Store.Check(ctx), f.opts.Store.checkChanges(ctx)))
	}
	dialect, err := dialectOf(ctx, db)
	if err != nil {
		return err
	}
	store := NewStore(db, dialect, &f.opts.Options)
	switch {
	case store.dialect.lazy():
		return permanent(store.attachable(ctx, f.opts.NoMigrate))
	case f.opts.NoMigrate:
		return permanent(store.Check(ctx))
	}
	return permanent(store.Migrate(ctx))
}

// Forward adds entries to the timeline: events by one statement, row changes as in copyChanges. Entries that the
// timeline cannot hold are left out and named by a partial error, each
// permanent, and so are those that another transaction is writing, each
// [forward.Blocked]; the others are written. A timeline that does not fit this package
// is a permanent error, "schema_mismatch"; anything else may be tried again.
func (f *Forwarder) Forward(ctx context.Context, entries []journal.Entry) error {
	if f.opts.Store != nil {
		return f.deliver(ctx, f.opts.Store, entries)
	}
	db := forward.Conn(ctx)
	if db == nil {
		return errors.New("threadline: no connection of the app's database was lent; it is tried again with one, or give ForwarderOptions.Store")
	}
	dialect, err := dialectOf(ctx, db)
	if err != nil {
		return err
	}
	return f.deliver(ctx, NewStore(db, dialect, &f.opts.Options), entries)
}

// record records entries, and on SQLite makes the tables where they are missing:
// Attach has not, and a database in memory is one for each connection.
func (f *Forwarder) record(ctx context.Context, s *Store, entries []journal.Entry) error {
	err := s.Record(ctx, entries)
	if f.opts.Store != nil || f.opts.NoMigrate || !s.dialect.lazy() || !says(err, "no such table") {
		return err
	}
	if err = s.Migrate(ctx); err != nil {
		return err
	}
	return s.Record(ctx, entries)
}

// dialectOf returns what db speaks, as the Hub that lends it says. It is asked for
// each call, because a program may have databases of several dialects behind one
// forwarder.
func dialectOf(ctx context.Context, db *sql.DB) (hooks.Dialect, error) {
	switch dialect := forward.Dialect(ctx); {
	case dialect == "":
		return detect(ctx, db) // the caller is no Hub
	case dialects[dialect] != nil:
		return dialect, nil
	default:
		return "", unsupported(string(dialect))
	}
}

func unsupported(database string) error {
	return forward.Permanent("unsupported_database", errors.New("threadline: "+database+": the timeline lives in PostgreSQL or SQLite; give ForwarderOptions.Store"))
}

// detect asks a database which dialect it speaks. SQLite takes a function with a schema for
// a syntax error, and MySQL looks for it.
func detect(ctx context.Context, db *sql.DB) (hooks.Dialect, error) {
	var version string
	err := db.QueryRowContext(ctx, "SELECT pg_catalog.version()").Scan(&version)
	switch {
	case err == nil && strings.HasPrefix(version, "PostgreSQL"):
		return hooks.Postgres, nil
	case err == nil:
		return "", unsupported(version)
	case hooks.SQLState(err) == "" && says(err, "syntax error"), isBusy(err):
		return hooks.SQLite, nil
	case says(err, "Error 1305", "Error 1370"): // there is none, or this role may not call it
		return "", unsupported("MySQL (or MariaDB)")
	default:
		return "", err
	}
}

// deliver records events, and copies row changes.
func (f *Forwarder) deliver(ctx context.Context, s *Store, entries []journal.Entry) error {
	events, changed := divided(entries)
	failed := map[uuid.UUID]error{}
	if len(events) > 0 {
		if err := all(func(entries []journal.Entry) error { return f.record(ctx, s, entries) }, events, failed); err != nil {
			return permanent(err)
		}
	}
	if len(changed) > 0 || forward.Changes(ctx) != nil {
		// That they cannot be kept at all is no permanent error, because all of them would be discarded.
		if err := all(func(entries []journal.Entry) error { return s.copyChanges(ctx, entries) }, changed, failed); err != nil {
			return err
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return forward.Partial(failed)
}

// all writes entries and, where some of them cannot be stored, the others. Those it adds to failed.
func all(write func(entries []journal.Entry) error, entries []journal.Entry, failed map[uuid.UUID]error) error {
	err := write(entries)
	switch {
	case left(err, failed):
	case len(entries) == 0 || !isData(err):
		return err
	default:
		sift(write, entries, err, failed)
	}
	return nil
}

// left reports whether err is nil, or of entries that alone were left out, which it adds to failed.
func left(err error, failed map[uuid.UUID]error) bool {
	var partial *forward.PartialError
	if errors.As(err, &partial) {
		maps.Copy(failed, partial.Failed)
		return true
	}
	return err == nil || blocked(err, failed)
}

// sift writes what it can of entries, which failed together with err. It halves
// them: a bad one among n costs 2 log n statements, not n.
func sift(write func(entries []journal.Entry) error, entries []journal.Entry, err error, failed map[uuid.UUID]error) {
	switch {
	case left(err, failed):
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
		sift(write, part, write(part), failed)
	}
}

// permanent marks an error that only a change of the schema can fix.
func permanent(err error) error {
	var schema *SchemaError
	if errors.As(err, &schema) && schema.denied {
		return forward.Permanent("insufficient_privilege", err)
	}
	if err != nil && isMismatch(err) {
		return forward.Permanent("schema_mismatch", err)
	}
	return err
}
