package changes

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// The app's database turns each row into JSON, and the archive, which is the store's database, turns that into a row again. So the code
// lists no columns, and interprets no value.

// copy does what [Source.Copy] does, but copies nothing if it cannot convert a text.
func (f *Source) copy(ctx context.Context, app *sql.DB, entries []journal.Entry, to *Store) error {
	var missing map[uuid.UUID]error
	err := f.copyWith(ctx, app, to, func(c *copier) (err error) {
		missing, err = c.read(ctx, entries)
		return err
	})
	if err != nil || len(missing) == 0 {
		return err
	}
	return forward.Partial(missing)
}

// copyWith writes to an archive what read reads from the app's database.
func (f *Source) copyWith(ctx context.Context, app *sql.DB, to *Store, read func(c *copier) error) error {
	archive := to.reader()
	if err := checkCopyable(archive); err != nil {
		return err
	}
	c := &copier{from: f.reader, app: app, to: archive}
	if err := c.readState(ctx); err != nil {
		return err
	}
	err := read(c)
	if err == nil {
		err = c.readEarlier(ctx)
	}
	if err != nil {
		return c.sourceError(ctx, err)
	}
	return c.store(ctx)
}

// store writes what was read, if anything was.
func (c *copier) store(ctx context.Context) error {
	if c.empty() {
		return nil
	}
	err := c.checkColumns()
	if err == nil {
		err = c.to.Catalog.InTx(ctx, nil, func(tx *sql.Tx) error { return c.write(ctx, tx) })
	}
	return targetError(err)
}

// targetError explains an error of the archive.
func targetError(err error) error {
	if catalog.NotMigrated(err) != nil {
		return fmt.Errorf("changes: the tables of row changes are not in the timeline's database: run capture.Installer.Migrate there: %w", err)
	}
	return catalog.Wrap("copy row changes to the timeline's database", err)
}

// Copyable returns nil if row changes can be copied to the store, else an error that says what to do. It is for threadline.Forwarder.
func (s *Store) Copyable(ctx context.Context) error {
	if err := checkCopyable(s.reader()); err != nil {
		return err
	}
	all := append(slices.Clone(copiedTables), "audit_copies")
	var there int
	err := s.reader().Catalog.DB.QueryRowContext(ctx, "SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = "+pgtext.Literal(s.reader().Catalog.Schema)+
		" AND c.relname IN ('"+strings.Join(all, "', '")+"')").Scan(&there)
	if err != nil {
		return catalog.Wrap("look for the tables", s.reader().Catalog.Explain(err))
	}
	if there < len(all) {
		return forward.Permanent("schema_mismatch", fmt.Errorf("changes: some tables of row changes are not in schema %s of the timeline's database: run capture.Installer.Migrate there", s.reader().Catalog.Schema))
	}
	return nil
}

func checkCopyable(s *reading.Reader) error {
	if s.Catalog.Dialect != hooks.Postgres {
		return forward.Permanent("unsupported_database", fmt.Errorf("changes: row changes are copied from PostgreSQL to PostgreSQL, and the timeline's database speaks %s: register its forwarder without forward.WithChanges", s.Catalog.Dialect))
	}
	return s.Catalog.Supported()
}

// copier is one call of Copy or CopyGaps.
type copier struct {
	from *reading.Reader
	app  *sql.DB
	to   *reading.Reader

	place            string // of the app's database
	places           string // and all that it has had, as a JSON array: a restored database has another than the original
	shapes, captures int64  // digests of its shapes and captures: after a restore to an earlier time it may have as many, but others
	snapshot         string
	known            struct { // the same of the last copy, as the archive has it in audit_copies
		shapes, captures int64
		seen             string // the snapshot of the last copy, "" if there was none
	}

	first  int64               // the lowest ID of a transaction in this call, 0 if there is none
	rows   []copiedRow         // of audit_changes
	others map[string][]string // of the other tables, as JSON
	gap    changeKey           // the last row of audit_gaps that was read
	// undelivered are rows for audit_gaps of changes that could not be copied, as JSON.
	undelivered []string

	columns map[string]string   // of each table in the archive, as the list of a SELECT from a row r
	names   map[string][]string // the names of the same columns
}

// copiedRow is a row of audit_changes.
type copiedRow struct {
	tx   reading.Transaction
	json string
	// origin is set on the first row of each transaction in this call: what the first change of the transaction says about its
	// session. That change itself may come later, or be left out by a filter.
	origin string
}
