package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

const insufficientPrivilege = "42501" // SQLSTATE

// queryer is what reading the catalog needs: a *sql.DB or *sql.Conn.
type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// pgState is what the catalog says about the journal.
type pgState struct {
	server    int // as server_version_num
	standby   bool
	user      string
	owner     string // of the schema, "" if there is none
	usage     bool   // of the schema; false if there is none
	table     bool   // a table of that name is there
	old       bool   // that of a version before 5
	versions  bool
	functions int // of ours
	execute   bool
	version   int // 0 if no version is noted
	oldest    int // the oldest program that works with it
}

// stateQuery asks nothing that takes more rights than connecting.
const stateQuery = `SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4,
	pg_catalog.pg_is_in_recovery(),
	{user},
	coalesce((SELECT {owner} FROM pg_catalog.pg_namespace WHERE nspname = '{schema}'), ''),
	coalesce((SELECT pg_catalog.has_schema_privilege(oid, 'USAGE')
		FROM pg_catalog.pg_namespace WHERE nspname = '{schema}'), false),
	EXISTS (SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = '{schema}' AND c.relname = 'journal'),
	EXISTS (SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = '{schema}' AND c.relname = 'audit_events' AND c.relkind <> 'v'),
	EXISTS (SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = '{schema}' AND c.relname = 'schema_versions'),
	f.n, f.execute
FROM (SELECT pg_catalog.count(*) AS n,
		coalesce(pg_catalog.bool_and(pg_catalog.has_function_privilege(p.oid, 'EXECUTE')), false) AS execute
	FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
	WHERE n.nspname = '{schema}' AND p.proname IN ('write', 'written', 'claim')) f`

// roleTexts reads names of roles in sessions and from servers of any encoding.
var roleTexts = strings.NewReplacer("{user}", pgtext.HexAnywhere("current_user::pg_catalog.text"),
	"{owner}", pgtext.HexAnywhere("pg_catalog.pg_get_userbyid(nspowner)::pg_catalog.text"))

func (p *postgres) named(query string) string {
	return strings.ReplaceAll(query, "{schema}", p.schema)
}

func (p *postgres) inspect(ctx context.Context, q queryer) (pgState, error) {
	var s pgState
	err := q.QueryRowContext(ctx, roleTexts.Replace(p.named(stateQuery))).Scan(&s.server, &s.standby, pgtext.Scanner(&s.user),
		pgtext.Scanner(&s.owner), &s.usage, &s.table, &s.old, &s.versions, &s.functions, &s.execute)
	if err != nil {
		return s, fmt.Errorf("journal: look for its tables: %w", err)
	}
	if !s.versions || !s.usage {
		return s, nil
	}
	err = q.QueryRowContext(ctx, p.named(
		`SELECT version, oldest FROM "{schema}".schema_versions WHERE component = 'journal'`)).Scan(&s.version, &s.oldest)
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case hooks.SQLState(err) == "42703": // undefined_column
		return s, &SetupError{
			Problem: "a table " + p.schema + ".schema_versions exists that is not aftercommit's",
			Remedy:  "rename it, or give the journal another schema by Options.Schema", Err: err,
		}
	case err != nil:
		return s, fmt.Errorf("journal: read the version of its tables: %w", err)
	}
	return s, nil
}

// check reports what the journal needs; an error says what is wrong that migrating
// would not fix.
func (p *postgres) check(s pgState) (condition, error) {
	const oldest = 130000
	const ours = 3 // of our functions
	switch {
	case s.server < oldest:
		return missing, &SetupError{
			Problem: fmt.Sprintf("this server is PostgreSQL %d", s.server/10000),
			Remedy:  "the journal needs 13 or newer; run without one (NoJournal), or upgrade the server",
		}
	case s.versions && !s.usage, s.version > 0 && s.functions >= ours && !s.execute:
		return missing, p.grantError(pgschema.Roles{Current: s.user, Owner: s.owner})
	case s.version > postgresVersion && s.oldest > postgresVersion:
		return missing, &SetupError{
			Problem: fmt.Sprintf("the tables in schema %s have version %d, this program knows %d", p.schema, s.version, postgresVersion),
			Remedy:  "a newer aftercommit has migrated them; build this program with that one",
		}
	case s.version >= postgresVersion && s.table && s.functions >= ours:
		return usable, nil
	case s.version > 0 && s.version < postgresVersion && s.old:
		return outdated, nil
	case s.version == 0 && s.versions && (s.old || s.table && s.functions >= ours):
		return outdated, nil // all is ours; the row is missing, which a test's cleaner has deleted
	case (s.old || s.table) && s.version == 0:
		name := "journal"
		if s.old {
			name = "audit_events"
		}
		return missing, &SetupError{
			Problem: "a table " + p.schema + "." + name + " exists that is not aftercommit's",
			Remedy:  "rename it, or give the journal another schema by Options.Schema",
		}
	case s.version > 0:
		return missing, &SetupError{
			Problem: fmt.Sprintf("parts of schema %s are missing, though schema_versions has the journal's row", p.schema),
			Remedy:  partsMissing,
		}
	}
	return missing, nil
}

// unmet is the error for tables that are missing or outdated, and stay so.
func (p *postgres) unmet(c condition, s pgState, why string, cause error) error {
	roles := pgschema.Roles{Current: s.user, Owner: s.owner}
	if c == outdated {
		return &SetupError{
			Problem: "its tables and functions in schema " + p.schema + " are of an older version, or its row in schema_versions was deleted, and " + why,
			Remedy:  "run what journal.Upgrade(hooks.Postgres, options) returns, as " + roles.Whose(),
			SQL:     p.upgradeSQL(), Err: cause,
		}
	}
	return &SetupError{
		Problem: "its tables are missing in schema " + p.schema + ", and " + why,
		Remedy:  "run what journal.Schema(hooks.Postgres, options) returns, as a role that may create a schema here",
		SQL:     p.schemaSQL(), Err: cause,
	}
}

func (p *postgres) connect(ctx context.Context, db *sql.DB, migrate bool) error {
	if p.ready.Load() {
		return nil
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	defer func() { _ = conn.Close() }()
	s, found, err := stable(func() (pgState, error) { return p.inspect(ctx, conn) }, p.check)
	switch {
	case err != nil:
		return err
	case found != usable && s.standby:
		// Nothing can be written here, so nothing is missed; the tables come
		// when the primary has them.
		return nil
	case found != usable && !migrate:
		return p.unmet(found, s, "Options.NoMigrate is set", nil)
	case found != usable:
		if err := p.migrate(ctx, conn); err != nil {
			return err
		}
	}
	p.before.Store(s.old)
	p.ready.Store(true)
	return nil
}

// migrateLock is the advisory lock under which tables are made.
const migrateLock = "'7022364301936586083'::pg_catalog.int8"

// migrate makes the tables, or upgrades them, or waits for another that does. Raw BEGIN and
// COMMIT, because db's own transactions may be no-ops or add options.
func (p *postgres) migrate(ctx context.Context, conn *sql.Conn) (err error) {
	if _, err = conn.ExecContext(ctx, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"); err != nil {
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
	for _, query := range []string{
		// A process that is frozen here must not keep others from starting.
		"SET LOCAL idle_in_transaction_session_timeout = '5s'",
		"SET LOCAL lock_timeout = '2s'",
		"SELECT pg_catalog.pg_advisory_xact_lock(" + migrateLock + ")",
	} {
		if _, err = conn.ExecContext(ctx, query); err != nil {
			return migrateError(err)
		}
	}
	s, err := p.inspect(ctx, conn)
	if err != nil {
		return err
	}
	found, err := p.check(s)
	if err != nil {
		return err
	}
	if script, why := p.toRun(found, pgschema.Roles{Current: s.user}.Who()); script != "" {
		if _, err = conn.ExecContext(ctx, script); err != nil {
			if hooks.SQLState(err) == insufficientPrivilege {
				return p.unmet(found, s, why, err)
			}
			return migrateError(err)
		}
	}
	if _, err = conn.ExecContext(ctx, "COMMIT"); err != nil {
		return fmt.Errorf("journal: migrate: %w", err)
	}
	p.upgraded.Store(found == outdated && s.version > 0)
	return nil
}

// toRun returns what to run, and what to say where user may not.
func (p *postgres) toRun(found condition, user string) (script, refusal string) {
	switch found {
	case missing:
		return p.schemaSQL(), user + " may not make them"
	case outdated:
		return p.upgradeSQL(), user + " may not upgrade them"
	}
	return "", ""
}

func migrateError(err error) error {
	if hooks.SQLState(err) == "55P03" { // lock_not_available
		return &SetupError{
			Problem: "its tables could not be made within 2 s, because another session holds a lock",
			Remedy:  "connect again when that one is done", Err: err,
		}
	}
	return fmt.Errorf("journal: migrate: %w", err)
}
