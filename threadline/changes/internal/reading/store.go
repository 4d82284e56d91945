package reading

import (
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/internal/alias"
)

// Store is what the store of package changes is made of: the packages that do its work convert one to it, and users see nothing of it.
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

// SQLite is a Store on SQLite.
type SQLite struct {
	*Reader
	catalog.SQLite
}

// OnSQLite is the store as one on SQLite, if it is.
func (s *Reader) OnSQLite() (SQLite, bool) {
	return SQLite{s, catalog.SQLite{Database: s.Catalog}}, s.Catalog.Dialect == hooks.SQLite
}
