package changes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/nildb"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/internal/alias"
)

// Options of a [Store]. The zero value, and nil, mean defaults.
type Options struct {
	// Schema is the schema of the tables and functions, "threadline" by default; on SQLite the prefix of their names, before
	// a "_".
	Schema string
	// Journal is the schema of the app's journal, "aftercommit" by default; on SQLite the prefix.
	Journal string
	// OtherJournals are the schemas of other journals in the same database, on SQLite the prefixes: those of other apps that write to
	// the captured tables. Without them it is never said that a transaction had no event ([NoEvent]) where there is
	// another journal.
	OtherJournals []string
	// Forwarder is the name of the forwarder that delivers to this timeline, as relay.State.Forwarder has it. It is needed where there
	// are several, such as another one to a timeline in another database: without it what any of them has yet to deliver is [Pending].
	// By default it is each whose name begins with "threadline.Forwarder/".
	Forwarder string
	// Aliases are other names of tables, for queries. Pass those of threadline.Options, so that the recorded target
	// "order" and the captured table "orders" are one for both stores.
	Aliases map[string][]string
	// Partition divides the table of changes by time. It takes effect when the table is made, and only then: with a table
	// that was made without, Migrate and [Capture.Keep] return an error. Stores that only read need not set it. On SQLite it is an error.
	Partition Partitioning
}

func (o *Options) schema() string {
	if o == nil || o.Schema == "" {
		return "threadline"
	}
	return o.Schema
}

func (o *Options) journal() string {
	if o == nil || o.Journal == "" {
		return "aftercommit"
	}
	return o.Journal
}

// Store plans captures, applies the plans, and reads what was captured. It is safe for
// concurrent use, and needs one connection at a time.
type Store struct {
	db        *sql.DB
	speaks    hooks.Dialect
	schema    string   // unquoted
	journals  []string // their schemas, unquoted
	forwarder string
	same      alias.Names
	partition Partitioning
}

// NewStore returns the store of the changes in db. It does no I/O.
func NewStore(db *sql.DB, dialect hooks.Dialect, opts *Options) *Store {
	s := &Store{db: nildb.Replace(db), speaks: dialect, schema: opts.schema(), journals: []string{opts.journal()}}
	if opts != nil {
		s.journals, s.forwarder = append(s.journals, opts.OtherJournals...), opts.Forwarder
		s.same, s.partition = alias.Of(opts.Aliases), opts.Partition
	}
	return s
}

// Dialect returns the dialect that NewStore was given.
func (s *Store) Dialect() hooks.Dialect { return s.speaks }

// at returns the qualified name of something in the schema.
func (s *Store) at(name string) string { return pgschema.Ident(s.schema) + "." + pgschema.Ident(name) }

// sqlite is the store as one on SQLite, if it is.
func (s *Store) sqlite() (sqlite, bool) { return sqlite{s}, s.speaks == hooks.SQLite }

// readable refuses databases on which row changes are not captured.
func (s *Store) readable() error {
	if s.speaks == hooks.SQLite {
		return nil
	}
	return s.known()
}

// known refuses databases other than PostgreSQL, and names that it would cut.
func (s *Store) known() error {
	switch {
	case s.speaks == hooks.SQLite:
		return errors.New("changes: Capture.Keep is for PostgreSQL only: on SQLite make captures with Plan and Apply")
	case s.speaks != hooks.Postgres:
		return fmt.Errorf("changes: row changes are captured on PostgreSQL and SQLite, not on %s", s.speaks)
	case len(s.schema) > pgschema.LongestName:
		return fmt.Errorf("changes: Options.Schema has %d bytes, and PostgreSQL keeps %d of a name", len(s.schema), pgschema.LongestName)
	}
	return nil
}

// Migrate makes the tables of changes, as the role that is to own them, and the partitions for the time ahead. Run it again
// after an upgrade: it makes what is missing. On an existing table an index is made CONCURRENTLY, which waits for open
// transactions, and for which no capture waits. If it cannot make a partition it makes the others, and the error says why.
func (s *Store) Migrate(ctx context.Context) error {
	if s, ok := s.sqlite(); ok {
		return s.migrate(ctx)
	}
	if err := s.makeTables(ctx); err != nil {
		return err
	}
	if err := s.makeIndexes(ctx); err != nil {
		return wrap("migrate", err)
	}
	warnings, err := s.makePartitions(ctx, false)
	if err == nil && len(warnings) > 0 {
		err = errors.New(strings.Join(warnings, "; "))
	}
	return wrap("migrate", err)
}

func (s *Store) makeTables(ctx context.Context) error {
	if err := s.known(); err != nil {
		return err
	}
	_, err := s.db.ExecContext(ctx, s.script())
	return wrap("migrate", err)
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("changes: %s: %w", what, err)
}

// querier is a *sql.DB, *sql.Tx or *sql.Conn.
type querier interface {
	pgschema.Querier
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// readAll returns what scan makes of each row that a query returns.
func readAll[T any](ctx context.Context, db querier, scan func(*sql.Rows) (T, error), query string, args ...any) (list []T, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, rows.Err()
}

// inTx runs f in a transaction.
func (s *Store) inTx(ctx context.Context, opts *sql.TxOptions, f func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, opts)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}
