package reading

import (
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/internal/alias"
)

// Store is the underlying type of changes.Store. Package undo converts one to it, to read with its Reader; users see nothing of that.
type Store struct{ reader *Reader }

// NewStore returns a store that reads with r.
func NewStore(r *Reader) *Store { return &Store{r} }

// Reader is what the store reads with, nil for none.
func (s *Store) Reader() *Reader {
	if s == nil {
		return nil
	}
	return s.reader
}

// Reader reads what was captured. It is safe for concurrent use, and needs one connection at a time.
type Reader struct {
	Catalog   *catalog.Database
	Journals  []string // their schemas, unquoted
	Forwarder string
	Aliases   alias.Names
}

// At returns the qualified name of something in the schema.
func (s *Reader) At(name string) string { return s.Catalog.At(name) }

// SQLite is a Reader on SQLite.
type SQLite struct {
	*Reader
	catalog.SQLite
}

// OnSQLite returns the reader as one on SQLite, and whether the database is SQLite.
func (s *Reader) OnSQLite() (SQLite, bool) {
	return SQLite{s, catalog.SQLite{Database: s.Catalog}}, s.Catalog.Dialect == hooks.SQLite
}
