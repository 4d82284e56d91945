package cli

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/lib/pq"
	_ "modernc.org/sqlite" // the driver of SQLite

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// patience is how long a server may take to accept a connection. PGCONNECT_TIMEOUT can only shorten it.
const patience = 10 * time.Second

// target is the database that a command asks.
type target struct {
	db      *sql.DB
	dialect hooks.Dialect
	schema  string
	aliases map[string][]string
}

func (t *target) rows() *changes.Store {
	return changes.NewStore(t.db, t.dialect, &changes.Options{Schema: t.schema, Aliases: t.aliases})
}

func (t *target) timeline() *threadline.Store {
	return threadline.NewStore(t.db, t.dialect, &threadline.Options{Schema: t.schema, Aliases: t.aliases})
}

// kept returns the row changes, or nil if the database has no tables of them, which it says. It is an error if there is no timeline either.
func (a *app) kept(ctx context.Context, t *target) (*changes.Store, error) {
	if err := a.elsewhere(ctx, t); err != nil {
		return nil, err
	}
	_, err := t.rows().Captured(ctx)
	none := errors.Is(err, changes.ErrNotMigrated)
	if err != nil && !none {
		return nil, err
	}
	made := true
	if none || t.dialect == hooks.SQLite { // else PostgreSQL says it
		if made, err = t.timelineMade(ctx); err != nil {
			return nil, err
		}
	}
	switch {
	case none && !made:
		return nil, &failure{exitUnreachable, fmt.Errorf("there is no audit trail under the name %q in this database: name another database with --database-url or another name with --schema; threadline migrate up makes the tables", t.schema)}
	case none:
		fmt.Fprintln(a.err, "threadline: there are actions only: "+noHistory)
		return nil, nil
	case !made:
		fmt.Fprintln(a.err, "threadline: there are row changes only: the tables of the timeline are not in this database: the first action makes them, or threadline migrate up")
	}
	return t.rows(), nil
}

// timelineMade reports whether the database has the table of the timeline. On SQLite one that is missing is read as if it were empty, since
// the first action makes it: nothing tells a database without a trail from one in which nothing has happened yet.
func (t *target) timelineMade(ctx context.Context) (made bool, err error) {
	query := "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace" +
		" WHERE c.relname OPERATOR(pg_catalog.=) 'audit_actions' AND n.nspname::pg_catalog.text OPERATOR(pg_catalog.=) $1)"
	name := t.schema
	if t.dialect == hooks.SQLite {
		query = "SELECT EXISTS (SELECT 1 FROM main.sqlite_master WHERE name = ? COLLATE NOCASE)"
		name += "_audit_actions"
	}
	err = t.db.QueryRowContext(ctx, query, name).Scan(&made)
	return made, err
}

// trail returns the actions and, if there are any, the row changes.
func (a *app) trail(ctx context.Context, t *target) (*trail.Reader, error) {
	rows, err := a.kept(ctx, t)
	return trail.NewReader(t.timeline(), rows), err
}

// names are the aliases that were given.
func (a *app) names() (map[string][]string, error) {
	names := make(map[string][]string)
	for _, alias := range a.aliases {
		name, other, ok := strings.Cut(alias, "=")
		if !ok || name == "" || other == "" {
			return nil, usage("--alias %q: write order=orders", alias)
		}
		names[name] = append(names[name], other)
	}
	return names, nil
}

// with calls f with the database that was named.
func (a *app) with(ctx context.Context, f func(t *target) error) (err error) {
	names, err := a.names()
	if err != nil {
		return err
	}
	t, err := a.open()
	if err != nil {
		return err
	}
	t.schema, t.aliases = a.schema, names
	defer func() { err = errors.Join(err, t.db.Close()) }()
	connecting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err = t.db.PingContext(connecting); err != nil {
		return unreachable(err)
	}
	return f(t)
}

// open decides which database is meant. It does no I/O but to look for a file.
func (a *app) open() (*target, error) {
	where, from := a.databaseURL, "--database-url"
	if where == "" {
		where, from = os.Getenv("DATABASE_URL"), "DATABASE_URL"
	} else if hasPassword(where) {
		return nil, usage("--database-url has a password, and other users of this machine can see command lines: put the URL into DATABASE_URL, or the password into PGPASSWORD or ~/.pgpass")
	}
	scheme, _, _ := strings.Cut(where, ":")
	switch {
	case where == "" && !libpq():
		return nil, usage("which database? Give --database-url, or set DATABASE_URL or PGHOST")
	case where == "", scheme == "postgres", scheme == "postgresql", keyword(where):
		db, err := openPostgres(where)
		if err != nil {
			return nil, usage("%s: %w", from, err)
		}
		return &target{db: db, dialect: hooks.Postgres}, nil
	case scheme == "mysql" || scheme == "mariadb":
		return nil, usage("%s: MySQL and MariaDB have no timeline yet: it is on PostgreSQL or SQLite", from)
	}
	file := strings.TrimPrefix(strings.TrimPrefix(where, "sqlite:"), "//")
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		return nil, &failure{exitUnreachable, fmt.Errorf("%s: %q is a folder: name the SQLite file in it", from, file)}
	} else if err != nil {
		reason := errors.Unwrap(err)
		return nil, &failure{exitUnreachable, fmt.Errorf("%s: %q is no URL that begins with postgres://, and no SQLite file: %w", from, file, reason)}
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: file}).EscapedPath()+"?_pragma=busy_timeout(5000)")
	return &target{db: db, dialect: hooks.SQLite}, err
}

// libpq reports whether one of libpq's variables names a server or a database.
func libpq() bool {
	for _, name := range []string{"PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE", "PGUSER"} {
		if os.Getenv(name) != "" {
			return true
		}
	}
	return false
}

// keyword reports whether it is a connection string of libpq's other form: host=localhost dbname=shop.
func keyword(s string) bool {
	name, _, ok := strings.Cut(s, "=")
	return ok && !strings.ContainsAny(name, "/.:?")
}

func hasPassword(s string) bool {
	if keyword(s) {
		return strings.Contains(s, "password")
	}
	u, err := url.Parse(s)
	if err != nil {
		return strings.Contains(s, "@")
	}
	_, has := u.User.Password()
	return has || u.Query().Has("password")
}

func openPostgres(where string) (*sql.DB, error) {
	if os.Getenv("PGAPPNAME") == "" {
		if err := os.Setenv("PGAPPNAME", "threadline"); err != nil {
			return nil, err
		}
	}
	connector, err := pq.NewConnector(where)
	if err != nil {
		var wrong *url.Error
		if errors.As(err, &wrong) { // it quotes all of the URL, with the password
			err = wrong.Err
		}
		return nil, fmt.Errorf("it cannot be read: %w", err)
	}
	db := sql.OpenDB(connector)
	return db, nil
}
