package changes

import (
	"database/sql"
	"slices"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
	"github.com/go-aftercommit/aftercommit/threadline/internal/alias"
)

// Options of a [Store]. The zero value, and nil, mean defaults.
type Options struct {
	// Schema is the schema of the tables and functions, "threadline" by default; on SQLite the prefix of their names, before
	// a "_".
	Schema string
	// Journal is the schema of the app's journal, "aftercommit" by default; on SQLite the prefix.
	Journal string
	// OtherJournals are the schemas, on SQLite the prefixes, of other journals in the same database: those of other apps that
	// write to the captured tables. As long as one is not named, no transaction is said to have had no event ([NoEvent]).
	OtherJournals []string
	// Forwarder is the name of the forwarder that delivers to this timeline, as relay.State.Forwarder has it. It is needed where
	// there are several, such as another one to a timeline in another database. By default each whose name begins with
	// "threadline.Forwarder/" counts, so what any of them has yet to deliver is [Pending].
	Forwarder string
	// Aliases are other names of tables, for queries. Pass those of threadline.Options, so that the recorded target
	// "order" and the captured table "orders" are one for both stores.
	Aliases map[string][]string
}

func (o *Options) schema() string {
	if o == nil {
		return ""
	}
	return o.Schema
}

func (o *Options) journal() string {
	if o == nil || o.Journal == "" {
		return "aftercommit"
	}
	return o.Journal
}

// Store reads what was captured. It is safe for concurrent use, and needs one connection at a time.
type Store reading.Store

// NewStore returns the store of the changes in db. It does no I/O.
func NewStore(db *sql.DB, dialect hooks.Dialect, opts *Options) *Store {
	r := &reading.Reader{Catalog: catalog.New(db, dialect, opts.schema(), "changes.NewStore"), Journals: []string{opts.journal()}}
	if opts != nil {
		for _, j := range opts.OtherJournals {
			if !slices.Contains(r.Journals, j) { // one list may serve all apps
				r.Journals = append(r.Journals, j)
			}
		}
		r.Forwarder = opts.Forwarder
		r.Aliases = alias.Of(opts.Aliases)
	}
	return (*Store)(reading.NewStore(r))
}

// Dialect returns the dialect that NewStore was given.
func (s *Store) Dialect() hooks.Dialect { return s.reader().Catalog.Dialect }

// reader is what the store reads with.
func (s *Store) reader() *reading.Reader { return (*reading.Store)(s).Reader() }

// sqlite is a reader on SQLite.
type sqlite struct{ reading.SQLite }

// onSQLite returns the reader as one on SQLite, and whether the database is SQLite.
func onSQLite(r *reading.Reader) (sqlite, bool) {
	lite, is := r.OnSQLite()
	return sqlite{lite}, is
}
