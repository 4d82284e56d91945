package capture

import (
	"database/sql"
	"fmt"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// Options of an [Installer], and of a [List]. The zero value, and nil, mean defaults.
type Options struct {
	// Schema is the schema of the tables and functions, "threadline" by default; on SQLite the prefix of their names, before
	// a "_".
	Schema string
	// Partition divides the table of changes by time. It takes effect when the table is made, and only then: with a table
	// that was made without, Migrate and [List.Keep] return an error. On SQLite it is an error.
	Partition Partitioning
}

// Installer makes the tables of changes, and the triggers that write to them. It is safe for concurrent use, and
// needs one connection at a time.
type Installer struct {
	catalog   *catalog.Database
	partition Partitioning
}

// NewInstaller returns the installer of captures in db. It does no I/O.
func NewInstaller(db *sql.DB, dialect hooks.Dialect, opts *Options) *Installer {
	if opts == nil {
		opts = &Options{}
	}
	return &Installer{catalog: catalog.New(db, dialect, opts.Schema, "capture.NewInstaller"), partition: opts.Partition}
}

// ErrNotMigrated means that the tables of changes are missing: run [Installer.Migrate].
var ErrNotMigrated = catalog.ErrNotMigrated

// wrap says what an error was in.
func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("capture: %s: %w", what, catalog.InPackage("", err))
}

// explain is deferred by what a program calls. It says what to do about an error of a database of another dialect. What package changes
// says of a database, it says for package capture here.
func (s *Installer) explain(err *error) {
	if other := s.catalog.OtherDialect(*err); other != nil {
		*err = fmt.Errorf("capture: %w", other)
	}
	*err = catalog.InPackage("capture: ", *err)
}

// at returns the qualified name of something in the schema.
func (s *Installer) at(name string) string { return s.catalog.At(name) }

// sqlite is an Installer on SQLite.
type sqlite struct {
	*Installer
	catalog.SQLite
}

// sqlite is the installer as one on SQLite, if it is.
func (s *Installer) sqlite() (sqlite, bool) {
	return sqlite{s, catalog.SQLite{Database: s.catalog}}, s.catalog.Dialect == hooks.SQLite
}

func onSQLite(db *sql.DB, opts *Options) sqlite {
	s, _ := NewInstaller(db, hooks.SQLite, opts).sqlite()
	return s
}
