package threadline

import (
	"database/sql"
	"fmt"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/nildb"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/internal/alias"
)

// Store keeps and reads the timeline in one database. It is safe for concurrent
// use. It needs no more than one connection at a time, none between calls, and
// no setting of a session outlives a call.
type Store struct {
	db      *sql.DB
	speaks  hooks.Dialect
	dialect dialect // nil for one that the store cannot speak
	names   names
	same    alias.Names
	read    atomic.Pointer[string] // the columns, once the server's encoding is known
}

// Options of a [Store]. The zero value, and nil, mean defaults.
type Options struct {
	// Schema is the PostgreSQL schema of the tables, "threadline" by default.
	// On SQLite, which has none, the tables' names begin with it and "_". It has no NUL,
	// and on PostgreSQL at most 63 bytes.
	Schema string
	// Aliases are other names of a target's type: the app records "order" where the
	// driver captures the table "orders". A query by any of the names finds the
	// actions of all of them, which stay as they are stored:
	//
	//	Aliases: map[string][]string{"order": {"orders"}}
	Aliases map[string][]string
}

// NewStore returns the timeline in db. It does no I/O; [Store.Migrate] makes the
// tables, [Store.Check] says whether they are there.
func NewStore(db *sql.DB, dialect hooks.Dialect, opts *Options) *Store {
	s := &Store{db: nildb.Replace(db), speaks: dialect, dialect: dialects[dialect]}
	if s.dialect != nil {
		s.names = s.dialect.names(opts.schema())
	}
	if opts != nil {
		s.same = alias.Of(opts.Aliases)
	}
	return s
}

// Dialect returns the dialect that NewStore was given.
func (s *Store) Dialect() hooks.Dialect { return s.speaks }

// names are the database's names of what the store uses, qualified and quoted.
type names struct {
	schema   string // unquoted: the schema, or on SQLite the prefix without "_"
	actions  string
	contexts string
	version  string
	record   string
}

func (o *Options) schema() string {
	if o == nil || o.Schema == "" {
		return "threadline"
	}
	return o.Schema
}

// known refuses a dialect that the store cannot speak, and a schema that cannot have
// that name.
func (s *Store) known() error {
	name := s.names.schema
	switch {
	case s.dialect == nil:
		return fmt.Errorf("threadline: dialect %q: use hooks.Postgres or hooks.SQLite", s.speaks)
	case s.dialect.tooLong(name), !utf8.ValidString(name), strings.ContainsRune(name, 0):
		return &SchemaError{
			Need: schemaVersion, Problem: fmt.Sprintf("the schema %.*q cannot be made", pgschema.LongestName, name),
			Fix: fmt.Sprintf("give Options.Schema at most %d bytes of text without NUL", pgschema.LongestName),
		}
	}
	return nil
}
