package capture

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// Table is a table to capture.
type Table struct {
	// Name is the table's, as SQL has it: orders, shop.orders, "Order". On SQLite it is in main.
	Name string
	// Key are the columns that identify its rows, by default those of the primary key. They need
	// a unique index, and NOT NULL. Of a table without a key whole rows are kept each time.
	Key []string
	// Exclude are columns of which nothing is kept, not even that they have changed. Of columns in Mask only that is
	// kept, and no value. Of columns in Hash a hash takes the value's place: HMAC-SHA-256 with a key that belongs to
	// the history, so equal values have equal hashes. Someone with that key can try values. No column of Key can be in
	// any of these. There is no Hash on SQLite.
	Exclude, Mask, Hash []string
	// Bulk is for a table of which statements often change many rows: on PostgreSQL its capture then takes a statement's
	// rows together where that cannot change the history, and else, as ever, one by one. README.md says when.
	Bulk bool
}

// find looks a table up and applies what is wanted of it.
func (s *Installer) find(ctx context.Context, q pgschema.Querier, t Table) (*target, error) {
	if err := s.ownHistories(ctx, q); err != nil {
		return nil, err
	}
	f, err := s.look(ctx, q, t.Name)
	if err != nil {
		return nil, err
	}
	if err := f.judge(t.Name); err != nil {
		return nil, err
	}
	if err := f.want(ctx, q, t); err != nil {
		return nil, err
	}
	return f, s.prove(ctx, q, f, t)
}

// want applies what is wanted of a table.
func (f *target) want(ctx context.Context, q pgschema.Querier, t Table) error {
	if err := f.choose(t); err != nil {
		return fmt.Errorf("changes: table %s: %w", t.Name, err)
	}
	if t.Key != nil {
		if err := f.override(ctx, q, t); err != nil {
			return err
		}
		f.declared = f.Key
	}
	for _, k := range f.Key {
		if i := f.Position(k); i < 0 || f.Columns[i].Masked {
			err := fmt.Errorf("column %q is in the key, and cannot be masked or excluded: rows could not be told apart", k)
			if t.Key != nil {
				err = &keyError{err.Error()}
			}
			return fmt.Errorf("changes: table %s: %w", t.Name, err)
		}
	}
	return nil
}

// judge refuses what has no rows of its own that triggers see.
func (f *target) judge(name string) error {
	switch f.Kind {
	case "r", "p":
	case "v", "m":
		return fmt.Errorf("changes: %s is a view: capture the tables that it shows", name)
	case "f":
		return fmt.Errorf("changes: %s is a foreign table: capture it in the database where it is", name)
	default:
		return fmt.Errorf("changes: %s is not a table", name)
	}
	switch {
	case f.Persistence == "t":
		return fmt.Errorf("changes: %s is a temporary table", name)
	case f.Leaf:
		return fmt.Errorf("changes: %s is a partition: capture its parent, which captures all of its partitions", name)
	}
	return nil
}

// choose sets the columns that are captured.
func (f *target) choose(t Table) error {
	f.Columns, f.Exclude = nil, nil
	for _, name := range slices.Concat(t.Exclude, t.Mask, t.Hash) {
		if !f.Has(name) {
			return fmt.Errorf("there is no column %q%s", name, catalog.Meant(name, f.All))
		}
	}
	for _, name := range t.Key {
		if !f.Has(name) {
			return &keyError{fmt.Sprintf("there is no column %q%s", name, catalog.Meant(name, f.All))}
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
