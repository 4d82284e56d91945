package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// setupWait is how long making the tables waits for other writers.
const setupWait = 2 * time.Second

// connect asks each connection, because a database in memory is one per
// connection. It does the work on that connection: a second writer would break
// apps that have no busy timeout.
func (s *sqlite) connect(ctx context.Context, db *sql.DB, migrate bool) error {
	return withConn(ctx, db, setupWait, func(conn *sql.Conn) error {
		found, err := s.check(ctx, conn)
		switch {
		case found == usable || err != nil:
			return err
		case !migrate:
			return s.unmade(found)
		}
		return s.migrate(ctx, conn)
	})
}

// unmade is the error for tables that others are to make.
func (s *sqlite) unmade(found condition) error {
	switch found {
	case outdated:
		return &SetupError{
			Problem: "its tables are of an older version, and Options.NoMigrate is set",
			Remedy:  "run what journal.Upgrade(hooks.SQLite, options) returns",
			SQL:     s.upgradeSQL(),
		}
	case missing:
		return &SetupError{
			Problem: "its tables are missing, and Options.NoMigrate is set",
			Remedy:  "run what journal.Schema(hooks.SQLite, options) returns",
			SQL:     s.schemaSQL(),
		}
	}
	return nil
}

func (s *sqlite) named(query string) string {
	return strings.ReplaceAll(query, "{prefix}", s.prefix)
}

// check reports what the journal needs; an error says what is wrong that migrating
// would not fix.
func (s *sqlite) check(ctx context.Context, q queryer) (condition, error) {
	var objects, versions, foreign int
	err := q.QueryRowContext(ctx, s.named(
		`SELECT count(*), coalesce(sum(name = '{prefix}schema_versions'), 0), coalesce(sum(name = '{prefix}events'), 0) FROM main.sqlite_master
		WHERE name IN ('{prefix}journal', '{prefix}write', '{prefix}write_insert', '{prefix}audit_events', '{prefix}schema_versions', '{prefix}events')`)).
		Scan(&objects, &versions, &foreign)
	if err != nil {
		return missing, fmt.Errorf("journal: look for its tables: %w", err)
	}
	objects -= foreign // of a version before 3, which stays
	found, oldest := 0, 0
	if versions > 0 {
		err = q.QueryRowContext(ctx, s.named(
			`SELECT version, oldest FROM main.{prefix}schema_versions WHERE component = 'journal'`)).Scan(&found, &oldest)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return missing, fmt.Errorf("journal: read the version of its tables: %w", err)
		}
	}
	const all = 5
	switch {
	case found > sqliteVersion && oldest > sqliteVersion:
		return missing, &SetupError{
			Problem: fmt.Sprintf("the tables %s* have version %d, this program knows %d", s.prefix, found, sqliteVersion),
			Remedy:  "a newer aftercommit has migrated them; build this program with that one",
		}
	case found >= sqliteVersion && objects == all:
		return usable, nil
	case found > 0 && found < sqliteVersion && objects == versions:
		return outdated, nil
	case found > 0:
		return missing, &SetupError{
			Problem: fmt.Sprintf("parts of %s* are missing, though %sschema_versions has the journal's row", s.prefix, s.prefix),
			Remedy:  "restore them, or delete that row and what is left of the journal",
		}
	case objects == all:
		if oldest = sqliteVersion; foreign > 0 {
			oldest = 1
		}
		insert := fmt.Sprintf("INSERT INTO %sschema_versions (component, version, oldest) VALUES ('journal', %d, %d)", s.prefix, sqliteVersion, oldest)
		return missing, &SetupError{
			Problem: fmt.Sprintf("the row 'journal' of %sschema_versions was deleted", s.prefix),
			Remedy:  "leave that table out of what empties tables, and run: " + insert,
			SQL:     insert,
		}
	case objects > versions:
		return missing, &SetupError{
			Problem: fmt.Sprintf("a table or view %sjournal or %swrite exists that is not aftercommit's", s.prefix, s.prefix),
			Remedy:  "drop it if it is left of a journal whose tables were dropped, else rename it, or give the journal another prefix by Options.Schema",
		}
	}
	return missing, nil
}

func (s *sqlite) migrate(ctx context.Context, conn *sql.Conn) (err error) {
	if _, err = conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("journal: migrate: %w", err)
	}
	defer func() {
		if err == nil {
			return
		}
		if _, e := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); e != nil {
			err = errors.Join(err, e)
		}
	}()
	if err = s.make(ctx, conn); err != nil {
		return err
	}
	if _, err = conn.ExecContext(ctx, "COMMIT"); err != nil {
		return fmt.Errorf("journal: migrate: %w", err)
	}
	return nil
}

// make makes what is missing in the transaction that conn is in.
func (s *sqlite) make(ctx context.Context, conn *sql.Conn) error {
	found, err := s.check(ctx, conn)
	if err != nil {
		return err
	}
	script := map[condition]string{missing: s.schemaSQL(), outdated: s.upgradeSQL()}[found]
	if script == "" {
		return nil
	}
	if _, err = conn.ExecContext(ctx, script); err != nil {
		return fmt.Errorf("journal: migrate: %w", err)
	}
	return nil
}
