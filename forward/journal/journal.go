package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/eventjson"
	"github.com/go-aftercommit/aftercommit/internal/nildb"
	"github.com/go-aftercommit/aftercommit/internal/otherdialect"
)

// Versions of the tables. Swap makes 6 of 5 on PostgreSQL; programs work with either.
const (
	postgresVersion = 5
	sqliteVersion   = 3
)

// Options of a [Journal]; nil is fine.
type Options struct {
	// Schema is the schema on PostgreSQL, and on SQLite, with a _ behind it, the
	// prefix of the tables' names. It must match ^[a-z_][a-z0-9_]*$, at most 40
	// bytes. The default is "aftercommit".
	Schema string
	// NoMigrate leaves it to others to run what [Schema] returns.
	NoMigrate bool
}

func (o *Options) schema() string {
	if o == nil || o.Schema == "" {
		return "aftercommit"
	}
	return o.Schema
}

// Journal writes and reads the journal of one database. It is safe for
// concurrent use; the *sql.DB that it is to use comes with each call.
type Journal struct {
	store     store
	schema    string
	noMigrate bool
	source    eventjson.Source
}

// store is what differs between the dialects.
type store interface {
	connect(ctx context.Context, db *sql.DB, migrate bool) error
	write(ctx context.Context, f hooks.Flush, from eventjson.Source) (bool, error)
	claim(ctx context.Context, db *sql.DB, keys []uuid.UUID) (Claim, error)
	// table is the journal's table with its schema, and columns those of it that scanner
	// reads.
	table() string
	columns() string
	// among is a condition for one of ids.
	among(ids []uuid.UUID) string
	// written gives a SELECT of those columns, without the documents.
	written(keys []uuid.UUID) string
	// time is a literal for comparison with recorded_at.
	time(t time.Time) string
	// sum is an aggregate of integers.
	sum(expression string) string
	// oldColumns are those that oldScanner reads. hex says that texts are hex digits.
	oldColumns() (columns string, hex bool)
	// oldByID is what follows FROM for them.
	oldByID(ids []uuid.UUID) string
	schemaSQL() string
	upgradeSQL() string
	// explain adds to an error of a read what to do, if a right is missing: that to
	// read the table, or to call the functions.
	explain(ctx context.Context, db *sql.DB, err error, table bool) error
}

var schemaForm = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,39}$`)

// New returns the journal of a database of that dialect. It does no I/O. A dialect
// without a journal, and an invalid schema name, are errors.
func New(dialect hooks.Dialect, o *Options) (*Journal, error) {
	name := o.schema()
	if !schemaForm.MatchString(name) {
		return nil, fmt.Errorf("journal: schema %q: use lower case letters, digits and _, at most 40 bytes", name)
	}
	j := &Journal{schema: name, noMigrate: o != nil && o.NoMigrate}
	switch dialect {
	case hooks.Postgres:
		j.store = newPostgres(name)
	case hooks.SQLite:
		j.store = newSQLite(name)
	default:
		return nil, fmt.Errorf("journal: no journal for dialect %q: there is one for %s and %s",
			dialect, hooks.Postgres, hooks.SQLite)
	}
	return j, nil
}

// explainDialect adds what to do to an error of a database that does not speak d.
func explainDialect(d hooks.Dialect, err error) error {
	if other := otherdialect.Explain(d, "journal.New", err); other != nil {
		return other
	}
	return err
}

// Schema returns the SQL that makes the journal, for those who migrate themselves. On
// PostgreSQL it is one statement, which may be run again. On SQLite it is to be run
// once, in a transaction.
func Schema(dialect hooks.Dialect, o *Options) (string, error) {
	j, err := New(dialect, o)
	if err != nil {
		return "", err
	}
	return j.store.schemaSQL(), nil
}

// Upgrade returns the SQL that brings a journal of an older version to this one,
// for those who migrate themselves. It is to be run by the journal's owner, by a
// member of that role, or by a superuser: what is new belongs to the owner in any case.
// On PostgreSQL it is one statement, on SQLite it needs a transaction.
func Upgrade(dialect hooks.Dialect, o *Options) (string, error) {
	j, err := New(dialect, o)
	if err != nil {
		return "", err
	}
	return j.store.upgradeSQL(), nil
}

// Swap returns the SQL for the last step of an upgrade on PostgreSQL, once [Upgrade] has run
// and no program of an earlier version is left: the old table audit_events becomes
// audit_events_before, and the view journal_events gets its name. It is one statement. It fails
// with SQLSTATE AC001 and changes nothing while an old program writes or delivers, or a
// forwarder has not received everything in the old table; it warns of views, publications,
// foreign keys and triggers on that table. On SQLite there is nothing to do.
func Swap(o *Options) (string, error) {
	j, err := New(hooks.Postgres, o)
	if err != nil {
		return "", err
	}
	return newPostgres(j.schema).swapSQL(), nil
}

// From returns the same journal for a program and its host: events that do not say which
// program wrote them, or where it ran, are written as this one's.
func (j *Journal) From(application, host string) *Journal {
	from := *j
	from.source = eventjson.Source{Application: application, Host: host}
	return &from
}

// Schema returns the name of its schema, or of the prefix on SQLite.
func (j *Journal) Schema() string { return j.schema }

// Connect checks that the journal's tables are there and fit, and makes them if
// they are not. It is to be called with every new connection; db has that one
// alone. On PostgreSQL nothing is asked again after the first success. If an
// operator has to do something, the error is a [*SetupError].
func (j *Journal) Connect(ctx context.Context, db *sql.DB) error {
	return j.store.connect(ctx, nildb.Replace(db), !j.noMigrate)
}

// Upgraded is for the Hub. It reports what Connect has found on PostgreSQL: whether it has upgraded the
// tables itself, and whether the table of an earlier version has its name yet, as until [Swap].
func (j *Journal) Upgraded() (upgraded, before bool) {
	p, ok := j.store.(*postgres)
	if !ok {
		return false, false
	}
	return p.upgraded.Load(), p.before.Load()
}

// Write writes f.Events as one row with the key f.Key, in the transaction that f.Conn is in,
// by one statement. On PostgreSQL, unless f.Must is set, it writes nothing and returns false if
// the transaction has written nothing itself. Errors there have the SQLSTATE 25X06 if the
// transaction has written and is read-only now, 55P03 if a lock was not available within
// f.Timeout, 23505 if the key has been claimed, and 09000 if a trigger on the table suppresses the
// row. Everything else that may take time is bounded by ctx. Errors wrap the driver's.
//
// f.Keep, unless it is nil, gets the [Row] without its documents, if the database's answer says
// what it has added. Otherwise [Journal.Written] returns it.
func (j *Journal) Write(ctx context.Context, f hooks.Flush) (written bool, err error) {
	if len(f.Events) == 0 {
		return false, errors.New("journal: nothing to write")
	}
	return j.store.write(ctx, f, j.source)
}
