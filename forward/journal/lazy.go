package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/nildb"
)

// Check is Connect for a connection that may never write: on SQLite it changes
// nothing. Missing tables are an error only with Options.NoMigrate, and a database
// that cannot be asked now, because it is locked for instance, is no error:
// [Journal.ConnectWithin] finds out, before the first Write.
func (j *Journal) Check(ctx context.Context, db *sql.DB) error {
	if db == nil {
		return fmt.Errorf("journal: %w", nildb.Err)
	}
	s, ok := j.store.(*sqlite)
	if !ok {
		return j.Connect(ctx, db)
	}
	found, err := s.look(ctx, db)
	var setup *SetupError
	switch {
	case errors.As(err, &setup):
		return err
	case err != nil:
		return ctx.Err()
	case j.noMigrate:
		return s.unmade(found)
	}
	return nil
}

// ConnectWithin is Connect, on SQLite, in the transaction that db is in: what it
// makes is committed or rolled back with it. After an error the caller must roll
// the transaction back, or to a savepoint from before the call.
func (j *Journal) ConnectWithin(ctx context.Context, db *sql.DB) error {
	db = nildb.Replace(db)
	s, ok := j.store.(*sqlite)
	if !ok {
		return nil
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if j.noMigrate {
		found, err := s.look(ctx, conn)
		if err != nil {
			return err
		}
		return s.unmade(found)
	}
	if err := s.lock(ctx, conn); err != nil {
		return err
	}
	return s.make(ctx, conn)
}

// Missing is for package relay and the Hub. It reports whether err says that the journal's tables
// are not there, on SQLite: what made them was rolled back, or this is another database in
// memory.
func (j *Journal) Missing(err error) bool {
	s, ok := j.store.(*sqlite)
	return ok && s.isMissing(err)
}

// isMissing recognises SQLite's error by its text: it has no code.
func (s *sqlite) isMissing(err error) bool {
	return err != nil && strings.Contains(err.Error(), "no such table: main."+s.prefix)
}

// lock takes the write lock of the main database, and waits for it: a transaction
// that has read before may not get it any more.
func (s *sqlite) lock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, s.named("UPDATE main.{prefix}schema_versions SET version = version WHERE false"))
	if s.isMissing(err) {
		create, _, _ := strings.Cut(s.schemaSQL(), ";")
		_, err = conn.ExecContext(ctx, create)
	}
	if err != nil {
		return fmt.Errorf("journal: migrate: %w", err)
	}
	return nil
}
