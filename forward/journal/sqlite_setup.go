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
		found, err := s.look(ctx, conn)
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
	case triggerless:
		return &SetupError{
			Problem: "the trigger of the view " + s.prefix + "write was dropped, and Options.NoMigrate is set",
			Remedy:  "make it again by the SQL that is given",
			SQL:     s.named(sqliteWrite),
		}
	case dropped:
		return &SetupError{
			Problem: "its tables were dropped, but not its views, and Options.NoMigrate is set",
			Remedy:  "run " + s.dropSQL() + "and what journal.Schema(hooks.SQLite, options) returns",
			SQL:     s.dropSQL() + s.schemaSQL(),
		}
	}
	return nil
}

func (s *sqlite) named(query string) string {
	return strings.ReplaceAll(query, "{prefix}", s.prefix)
}

// sqliteState is what the database says about the journal.
type sqliteState struct {
	objects  int // of this version's
	versions int // 1 if the table schema_versions is one of them
	old      int // 1 if there is the table of a version before 3, which stays
	journal  int // 1 if there is the journal, or something with its name
	view     int // 1 if there is the view that reads it
	trigger  int // 1 if there is the trigger of the view that is written
	version  int // 0 if no version is noted
	oldest   int // the oldest program that works with it
}

func (s *sqlite) inspect(ctx context.Context, q queryer) (st sqliteState, err error) {
	err = q.QueryRowContext(ctx, s.named(
		`SELECT coalesce(sum(name <> '{prefix}events'), 0), coalesce(sum(name = '{prefix}schema_versions'), 0), coalesce(sum(name = '{prefix}events'), 0),
			coalesce(sum(name = '{prefix}journal'), 0), coalesce(sum(type = 'view' AND name = '{prefix}audit_events' AND sql LIKE '%FROM {prefix}journal j%'), 0),
			coalesce(sum(name = '{prefix}write_insert'), 0) FROM main.sqlite_master
		WHERE name IN ('{prefix}journal', '{prefix}write', '{prefix}write_insert', '{prefix}audit_events', '{prefix}schema_versions', '{prefix}events')`)).
		Scan(&st.objects, &st.versions, &st.old, &st.journal, &st.view, &st.trigger)
	if err != nil {
		return st, fmt.Errorf("journal: look for its tables: %w", err)
	}
	if st.versions == 0 {
		return st, nil
	}
	err = q.QueryRowContext(ctx, s.named(
		`SELECT version, oldest FROM main.{prefix}schema_versions WHERE component = 'journal'`)).Scan(&st.version, &st.oldest)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return st, fmt.Errorf("journal: read the version of its tables: %w", err)
	}
	return st, nil
}

// look returns what the journal needs; an error says what is wrong that migrating would not fix.
func (s *sqlite) look(ctx context.Context, q queryer) (found condition, err error) {
	_, found, err = stable(func() (sqliteState, error) { return s.inspect(ctx, q) }, s.check)
	return found, err
}

// check is look for what was seen.
func (s *sqlite) check(st sqliteState) (condition, error) {
	const all = 5
	switch {
	case st.version > sqliteVersion && st.oldest > sqliteVersion:
		return missing, &SetupError{
			Problem: fmt.Sprintf("the tables %s* have version %d, this program knows %d", s.prefix, st.version, sqliteVersion),
			Remedy:  "a newer aftercommit has migrated them; build this program with that one",
		}
	case st.version >= sqliteVersion && st.objects == all:
		return usable, nil
	case st.version >= sqliteVersion && st.objects == all-1 && st.trigger == 0:
		return triggerless, nil
	case st.version > 0 && st.version < sqliteVersion && st.objects == st.versions:
		return outdated, nil
	case st.version > 0:
		return missing, &SetupError{
			Problem: fmt.Sprintf("parts of %s* are missing, though %sschema_versions has the journal's row", s.prefix, s.prefix),
			Remedy:  partsMissing,
		}
	case st.objects == all:
		oldest := sqliteVersion
		if st.old > 0 {
			oldest = 1
		}
		insert := fmt.Sprintf("INSERT INTO %sschema_versions (component, version, oldest) VALUES ('journal', %d, %d)", s.prefix, sqliteVersion, oldest)
		return missing, &SetupError{
			Problem: fmt.Sprintf("the row 'journal' of %sschema_versions was deleted", s.prefix),
			Remedy:  "leave that table out of what empties tables, and run: " + insert,
			SQL:     insert,
		}
	case st.view > st.journal:
		return dropped, nil // by what drops all tables, and only these
	case st.objects > st.versions:
		return missing, &SetupError{
			Problem: fmt.Sprintf("a table or view %sjournal or %swrite exists that is not aftercommit's", s.prefix, s.prefix),
			Remedy:  "rename the table, or drop the view, which has no data, if nothing uses it; or give the journal another prefix by Options.Schema",
		}
	}
	return missing, nil
}

// dropSQL drops views that were left when the tables were dropped. They have no data.
func (s *sqlite) dropSQL() string {
	return s.named("DROP VIEW IF EXISTS main.{prefix}write; DROP VIEW IF EXISTS main.{prefix}audit_events; ")
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
	found, err := s.look(ctx, conn)
	if err != nil {
		return err
	}
	script := map[condition]string{missing: s.schemaSQL(), dropped: s.dropSQL() + s.schemaSQL(), triggerless: s.named(sqliteWrite), outdated: s.upgradeSQL()}[found]
	if script == "" {
		return nil
	}
	if _, err = conn.ExecContext(ctx, script); err != nil {
		return fmt.Errorf("journal: migrate: %w", err)
	}
	return nil
}
