package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// Table is a table to capture.
type Table struct {
	// Name is the table's, as SQL has it: orders, shop.orders, "Order". On SQLite it is in main.
	Name string
	// Key are the columns that identify a row. They must be NOT NULL, and a unique index must have exactly these. Nil is the key that
	// was named at the last capture, else that of the table, its primary key; to go back to the primary key, name its columns. Of a
	// table without a key, each change has the whole row.
	Key []string
	// Exclude are columns of which nothing is kept, not even that they have changed. Of columns in Mask it is kept that
	// they have changed, but no value. Of columns in Hash a hash is kept in place of each value: HMAC-SHA-256 with a key
	// that belongs to the history. Equal values have equal hashes, and anyone who has the key can try values. No column of
	// Key can be in any of these. SQLite has no Hash.
	Exclude, Mask, Hash []string
	// Bulk is for a table of which statements often change many rows. On PostgreSQL the rows of a statement are then captured
	// together, unless that could change the history: then they are captured one by one, as without Bulk. "Many rows at a
	// time" in the README of package changes says when.
	Bulk bool
}

// find looks a table and its capture up, and applies what is wanted of it.
func (s *Installer) find(ctx context.Context, q catalog.Querier, t Table) (f *target, is *deployed, warning string, err error) {
	if err = s.ownHistories(ctx, q); err != nil {
		return nil, nil, "", err
	}
	if f, err = s.look(ctx, q, t.Name); err != nil {
		return nil, nil, "", err
	}
	if err = s.checkKind(f, t.Name); err != nil {
		return nil, nil, "", err
	}
	if is, err = s.deployed(ctx, q, f); err != nil {
		return nil, nil, "", err
	}
	if warning, err = f.wantPlanned(t, is.declaredKey(f), f.want(ctx, q)); err != nil {
		return nil, nil, "", err
	}
	return f, is, warning, s.decideBulk(ctx, q, f, t)
}

// want returns what applies what is wanted of a table.
func (f *target) want(ctx context.Context, q pgschema.Querier) func(Table) error {
	return func(t Table) error { return f.apply(ctx, q, t) }
}

func (f *target) apply(ctx context.Context, q pgschema.Querier, t Table) error {
	if err := f.chooseColumns(t); err != nil {
		return fmt.Errorf("capture: table %s: %w", t.Name, err)
	}
	if t.Key != nil && !slices.Equal(t.Key, f.Key) { // f.Key is the primary key
		if err := f.declareKey(ctx, q, t); err != nil {
			return err
		}
		f.declared = f.Key
	}
	for _, k := range f.Key {
		if i := f.Position(k); i < 0 || f.Columns[i].Masked {
			err := errHiddenKey(k)
			if t.Key != nil {
				err = &keyError{err}
			}
			return fmt.Errorf("capture: table %s: %w", t.Name, err)
		}
	}
	return nil
}

// errHiddenKey refuses to mask, hash or exclude a column of the key.
func errHiddenKey(column string) error {
	return fmt.Errorf("column %q is in the key, and cannot be masked, hashed or excluded: rows could not be told apart: keep it, or name the columns of another unique index in Key", column)
}

// ownTables are those of the history and of the timeline.
var ownTables = []string{
	"audit_actions", "audit_captures", "audit_changes", "audit_contexts", "audit_copies", "audit_eventless", "audit_gaps", "audit_keys",
	"audit_purges", "audit_shapes", "audit_transactions", "schema_version",
}

// isOwn reports whether a table is the server's, or one of ours: a trigger on a table of changes would capture what it writes itself.
func (s *Installer) isOwn(schema, table string) bool {
	switch schema {
	case "pg_catalog", "information_schema", "pg_toast", "aftercommit":
		return true
	case s.catalog.Schema:
		return slices.Contains(ownTables, table)
	}
	return false
}

// checkKind refuses relations on whose rows no trigger fires, and tables that are not the app's.
func (s *Installer) checkKind(f *target, name string) error {
	if s.isOwn(f.Schema, f.Table) {
		return fmt.Errorf("capture: %s is not a table of the app's", name)
	}
	switch f.Kind {
	case "r", "p":
	case "v", "m":
		return fmt.Errorf("capture: %s is a view: capture the tables that it shows", name)
	case "f":
		return fmt.Errorf("capture: %s is a foreign table: capture it in the database where it is", name)
	default:
		return fmt.Errorf("capture: %s is not a table", name)
	}
	switch {
	case f.Persistence == "t":
		return fmt.Errorf("capture: %s is a temporary table", name)
	case f.Leaf:
		return fmt.Errorf("capture: %s is a partition: capture its parent, which captures all of its partitions", name)
	}
	return nil
}

// ErrNoColumn means that a [Table] names a column that the table does not have. It comes in an error that names it.
var ErrNoColumn = errors.New("there is no such column")

// columnError is [ErrNoColumn] of one column.
type columnError struct{ name, meant string }

func (e *columnError) Error() string { return fmt.Sprintf("there is no column %q%s", e.name, e.meant) }
func (e *columnError) Unwrap() error { return ErrNoColumn }

// chooseColumns sets the columns that are captured, and how much is kept of each.
func (f *target) chooseColumns(t Table) error {
	f.Columns, f.Exclude = nil, nil
	for _, name := range slices.Concat(t.Exclude, t.Mask, t.Hash) {
		if !f.Has(name) {
			return &columnError{name, catalog.Meant(name, f.All)}
		}
	}
	for _, name := range t.Key {
		if !f.Has(name) {
			return &keyError{&columnError{name, catalog.Meant(name, f.All)}}
		}
	}
	for i := range f.All {
		c := &f.All[i]
		c.Excluded = slices.Contains(t.Exclude, c.Name)
		c.Hashed = slices.Contains(t.Hash, c.Name)
		c.Masked = c.Hashed || slices.Contains(t.Mask, c.Name)
		if c.Hashed && slices.Contains(t.Mask, c.Name) {
			return fmt.Errorf("column %q is masked and hashed: choose one", c.Name)
		}
		if c.Excluded && c.Masked {
			return fmt.Errorf("column %q is excluded and masked: choose one", c.Name)
		}
		if c.Excluded {
			f.Exclude = append(f.Exclude, c.Name)
		} else {
			f.Columns = append(f.Columns, *c)
		}
	}
	if len(f.Columns) == 0 {
		return fmt.Errorf("no column is left to capture")
	}
	slices.Sort(f.Exclude)
	return nil
}
