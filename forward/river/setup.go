package river

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// setup is what there is of River's tables on PostgreSQL, as the catalog has it, and what
// this role may do with them.
type setup struct {
	roles pgschema.Roles // Owner is that of the tables or, without them, of the schema
	// schema is where the tables are, or are to be; "" if it does not exist, or none is
	// named and search_path has none.
	schema string
	tables bool
	usable bool   // the schema
	may    bool   // what the purpose needs of the tables
	create bool   // in the schema
	owns   bool   // the tables, perhaps as a member
	others string // schemas that have such tables, quoted
}

// askTime is for how long an error may wait for what explains it.
const askTime = 2 * time.Second

const noTables = "there are no River tables"

// explain adds to an error what is wrong with River's tables, if that is the cause. Defer it
// first, so that it runs last: it takes a connection of db, which may have only one.
func (t *tables) explain(ctx context.Context, p purpose, err *error) {
	if *err == nil {
		return
	}
	if wrong := t.diagnose(ctx, p); wrong != nil {
		*err = fmt.Errorf("%w: %w", *err, wrong)
	}
}

// diagnose asks the dialect, for a limited time.
func (t *tables) diagnose(ctx context.Context, p purpose) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	return t.dialect.diagnose(ctx, t, p)
}

// look asks the catalog of PostgreSQL.
// readSetup reads the setup from the catalog.
func readSetup(ctx context.Context, t *tables, p purpose) (s setup, err error) {
	found := "pg_catalog.pg_table_is_visible(t.oid)"
	target := "coalesce(t.relnamespace, (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = pg_catalog.current_schema()))"
	if t.schema != "" {
		name := pgtext.Literal(t.schema)
		found = "t.relnamespace = (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = " + name + ")"
		target = "(SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = " + name + ")"
	}
	const isJobs = "c.relname = 'river_job' AND c.relkind IN ('r', 'p')"
	query := "SELECT " + pgtext.HexAnywhere("current_user::pg_catalog.text") + ", " + pgtext.HexAnywhere("pg_catalog.pg_get_userbyid(coalesce(t.relowner, (SELECT d.datdba FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database() AND pg_catalog.pg_get_userbyid(s.nspowner) = 'pg_database_owner'), s.nspowner))::pg_catalog.text") + ", " +
		pgtext.HexAnywhere("s.nspname::pg_catalog.text") + ", t.oid IS NOT NULL, coalesce(pg_catalog.has_schema_privilege(s.oid, 'USAGE'), false), coalesce(pg_catalog.has_schema_privilege(s.oid, 'CREATE'), false), " +
		"coalesce(pg_catalog.pg_has_role(t.relowner, 'USAGE'), false), " + p.held("s.oid") + ", " +
		pgtext.HexAnywhere("(SELECT pg_catalog.string_agg(pg_catalog.quote_ident(n.nspname::pg_catalog.text), ', ' ORDER BY n.nspname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE "+isJobs+")") +
		" FROM (SELECT 1) one LEFT JOIN (SELECT c.oid, c.relnamespace, c.relowner FROM pg_catalog.pg_class c WHERE " + isJobs + ") t ON " + found +
		" LEFT JOIN pg_catalog.pg_namespace s ON s.oid = " + target
	err = t.db.QueryRowContext(ctx, query).Scan(pgtext.Scanner(&s.roles.Current), pgtext.Scanner(&s.roles.Owner), pgtext.Scanner(&s.schema),
		&s.tables, &s.usable, &s.create, &s.owns, &s.may, pgtext.Scanner(&s.others))
	return s, err
}

// problem returns what is wrong with the setup for p; schema is the one that was named, if any.
func (s *setup) problem(schema string, p purpose) error {
	switch {
	case schema != "" && s.schema == "":
		return fmt.Errorf("there is no schema %s (upper and lower case count): %s", pgschema.Ident(schema), s.elsewhere("create it and run river.Migrate"))
	case p.makes && s.schema == "":
		return errors.New("this role's search_path has no schema that it may use: name a schema that exists")
	case p.makes && s.tables && !s.owns:
		return fmt.Errorf("%s may not change River's tables in schema %s: connect as %s, which owns them", s.roles.Who(), pgschema.Ident(s.schema), s.roles.Whose())
	case p.makes && s.usable && s.create:
		return nil
	case !p.makes && !s.tables && schema == "":
		return fmt.Errorf(noTables+" in the schemas of this role's search_path: %s", s.elsewhere("run river.Migrate or `river migrate-up`"))
	case !p.makes && !s.tables:
		return fmt.Errorf(noTables+" in schema %s: %s", pgschema.Ident(schema), s.elsewhere("run river.Migrate or `river migrate-up`"))
	case !p.makes && s.usable && s.may:
		return nil
	}
	what := fmt.Sprintf("%s may not %s: run as %s, which owns %s: %s", s.roles.Who(), p.what, s.roles.Whose(), s.owned(), s.roles.Grant(p.grants(s, schema)))
	if p.instead != "" {
		what += "; " + p.instead
	}
	return errors.New(what)
}

// owned is what the owner owns.
func (s *setup) owned() string {
	if s.tables {
		return "River's tables"
	}
	return "the schema"
}

// elsewhere says what to do where there are no tables: name the schema that has them, if
// there is one.
func (s *setup) elsewhere(orElse string) string {
	if s.others == "" {
		return orElse
	}
	return "such tables are in " + s.others + ": if they are meant, give that schema (Schema of River's Config, the argument of functions); else " + orElse
}
