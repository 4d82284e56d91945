package threadline

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// SchemaError says what is wrong with the timeline's tables and what to do.
type SchemaError struct {
	// Have is the version of the tables, 0 where there are none or where it is
	// not known; Need is the one that this package needs.
	Have, Need int
	// Problem and Fix are sentences without a full stop.
	Problem, Fix string
	// Err is the database's error, if that is how the problem was seen.
	Err error

	mendable bool // Migrate can fix it
	denied   bool // a right is missing
}

// Error gives the problem, the cause and the fix.
func (e *SchemaError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("threadline: %s: %v: %s", e.Problem, e.Err, e.Fix)
	}
	return fmt.Sprintf("threadline: %s: %s", e.Problem, e.Fix)
}

// Unwrap returns the database's error, or nil.
func (e *SchemaError) Unwrap() error { return e.Err }

// Check says whether the timeline is there and fits this package. If not, its
// error is a [*SchemaError] that says what to run. It changes nothing.
func (s *Store) Check(ctx context.Context) error {
	if err := s.known(); err != nil {
		return err
	}
	found, err := s.look(ctx, s.db)
	if err != nil {
		return s.explain(ctx, "check", err)
	}
	if problem := s.judge(found); problem != nil {
		return problem
	}
	return nil
}

// attachable returns what is wrong with the tables and cannot be fixed by Migrate; with
// noMigrate, all that is wrong. A database that cannot be asked now, such as one that is
// locked, is no error.
func (s *Store) attachable(ctx context.Context, noMigrate bool) error {
	if err := s.known(); err != nil {
		return err
	}
	found, err := s.look(ctx, s.db)
	if err != nil {
		return ctx.Err()
	}
	if problem := s.judge(found); problem != nil && (noMigrate || !problem.mendable) {
		return problem
	}
	return nil
}

// unmade reports whether err is that of a database in which nothing of the
// timeline was ever made, since nothing has happened that is to be in it.
func (s *Store) unmade(ctx context.Context, err error) bool {
	if !s.dialect.lazy() || !says(err, "no such table") {
		return false
	}
	f, err := s.look(ctx, s.db)
	return err == nil && f.actions == nil && f.version == nil && !f.record
}

// found is what the database has under the store's names.
type found struct {
	actions  []string // columns of audit_actions, nil without the table
	contexts []string // and of audit_contexts
	version  []string // columns of schema_version
	record   bool     // the function or view
	fills    bool     // and what it calls needs audit_contexts
	stale    bool     // the function is an older one, which this role may replace, or what is missing is not needed
	usage    bool     // the session's role may use the schema
	have     int
	roles    pgschema.Roles
}

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// look asks without parameters, for the sake of lib/pq behind PgBouncer.
func (s *Store) look(ctx context.Context, q querier) (found, error) {
	var f found
	var actions, contexts, version sql.NullString
	if err := q.QueryRowContext(ctx, s.dialect.inventory(s.names)).Scan(&actions, &contexts, &version, &f.record, &f.fills, &f.stale, &f.usage,
		pgtext.Scanner(&f.roles.Current), pgtext.Scanner(&f.roles.Owner)); err != nil {
		return f, err
	}
	f.actions, f.contexts, f.version = list(actions), list(contexts), list(version)
	f.stale = f.stale || f.lacksKey()
	if !f.usage || !slices.Contains(f.version, "version") {
		return f, nil
	}
	err := q.QueryRowContext(ctx, "SELECT version FROM "+s.names.version+" ORDER BY version DESC LIMIT 1").Scan(&f.have)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return f, err
}

func list(names sql.NullString) []string {
	if names.String == "" {
		return nil
	}
	return strings.Split(names.String, ",")
}

// judge says what is wrong with what was found, nil if nothing is.
func (s *Store) judge(f found) *SchemaError {
	problem := func(mendable bool, fix, format string, args ...any) *SchemaError {
		return &SchemaError{
			Have: f.have, Need: schemaVersion, mendable: mendable,
			Problem: fmt.Sprintf(format, args...), Fix: fix,
		}
	}
	const (
		migrate = "run Store.Migrate, or the SQL that threadline.Schema returns, as the role that shall own it"
		foreign = "name another schema in Options.Schema, or rename that table"
		remake  = "move the table away, drop schema_version and run Store.Migrate"
	)
	switch {
	case f.version != nil && !slices.Contains(f.version, "version"):
		return problem(false, foreign, "%s is not threadline's", s.names.version)
	case f.version == nil && f.actions != nil:
		return problem(false, foreign, "%s is not threadline's", s.names.actions)
	case f.version == nil:
		return problem(true, migrate, "the table %s does not exist", s.names.actions)
	case !f.usage:
		p := problem(false, s.grant(f.roles, "EXECUTE ON FUNCTION "+s.names.record+"(json)")+", or to read: "+f.roles.Grant("GRANT SELECT ON "+s.names.actions+" TO {role}"), "%s may not use the schema %s", f.roles.Who(), s.names.schema)
		p.denied = true
		return p
	case f.have > schemaVersion:
		return problem(false, "upgrade the program", "%s has schema version %d, newer than this program's %d", s.names.actions, f.have, schemaVersion)
	case f.have < schemaVersion:
		return problem(true, migrate, "%s has schema version %d, this program needs %d", s.names.actions, f.have, schemaVersion)
	case f.actions == nil:
		return problem(false, remake, "the table %s is gone", s.names.actions)
	case !f.record:
		return problem(false, remake, "%s is gone, through which entries are written", s.names.record)
	}
	switch lacking := f.lacking(); {
	case f.lacksKey() && s.dialect.lazy():
		return problem(true, migrate, "the table %s lacks the column %s, which is new", s.names.actions, keyColumn)
	case lacking != nil && !f.lacksKey(): // on PostgreSQL the tables may be another role's, and work without
		return problem(false, remake, "the table %s lacks the columns %s", s.names.actions, strings.Join(lacking, ", "))
	case f.contexts == nil && f.fills:
		return problem(true, migrate, "the table %s does not exist", s.names.contexts)
	}
	return nil
}

// keyColumn was added by step 2.
const keyColumn = "journal_key"

// lacksKey reports whether the tables are those of step 1.
func (f found) lacksKey() bool {
	lacking := f.lacking()
	return len(lacking) == 1 && lacking[0] == keyColumn
}

// lacking returns the columns that this package reads and the table has not.
func (f found) lacking() []string {
	var lacking []string
	for c := range strings.SplitSeq(selected+", actor_ref", ", ") {
		if !slices.Contains(f.actions, c) {
			lacking = append(lacking, c)
		}
	}
	return lacking
}
