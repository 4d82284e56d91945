package changes

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/internal/near"
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
}

// shape is what a capture was planned for. Each change names it, so that it can be read when the
// table has become another.
type shape struct {
	// ID is the table's, if that is not the one by which a table of this name is known first.
	ID      int64    `json:"table_id,omitempty"`
	Schema  string   `json:"schema"`
	Table   string   `json:"table"`
	OID     uint32   `json:"oid"`
	Columns []column `json:"columns"` // those that are captured
	Key     []string `json:"key,omitempty"`
	Exclude []string `json:"exclude,omitempty"`

	number int      // in the order in which the table's shapes were noted
	places []string // where it was noted
}

type column struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Masked bool   `json:"masked,omitempty"`
	Hashed bool   `json:"hashed,omitempty"` // and masked
	Number int    `json:"number,omitempty"` // pg_attribute.attnum; shapes of earlier versions have none
	// Table is the OID of the table, in audit_changes.columns alone.
	Table uint32 `json:"table,omitempty"`

	long     bool     // its values may be long
	exact    bool     // values that are equal have the same bytes
	settings []string // which its text depends on
	notNull  bool
	excluded bool
	// generated: it is computed of other columns, on SQLite.
	generated bool
}

// text is the shape as it is stored. Fields are in the order of the type, so that the same
// shape has the same text.
func (s *shape) text() string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // it has texts and numbers only
	}
	return string(b)
}

func (s *shape) id() int64 { return digest(s.text()) }

func (s *shape) tableID() int64 {
	if s.ID != 0 {
		return s.ID
	}
	return tableID(s.Schema, s.Table)
}

func tableID(schema, table string) int64 {
	b, err := json.Marshal([]string{schema, table})
	if err != nil {
		panic(err)
	}
	return digest(string(b))
}

func digest(text string) int64 {
	sum := sha256.Sum256([]byte(text))
	return int64(binary.BigEndian.Uint64(sum[:8]) >> 1) // positive, for people
}

const functionStart = "capture_"

// function is the name of the table's capture function. It stays the same when the table is renamed.
func (s *shape) function() string { return fmt.Sprintf("%s%016x", functionStart, s.tableID()) }

// keyed reports whether rows can be told apart.
func (s *shape) keyed() bool { return len(s.Key) > 0 }

func (s *shape) position(name string) int {
	return slices.IndexFunc(s.Columns, func(c column) bool { return c.Name == name })
}

// found is a table as the catalog has it.
type found struct {
	shape
	all         []column // also those that are excluded
	gone        []goneColumn
	declared    []string // Table.Key
	kind        string   // pg_class.relkind
	persistence string   // pg_class.relpersistence
	leaf        bool     // a partition
	deferrable  bool     // its primary key
	partitions  []string // of a partitioned table, qualified and quoted
	partitioned []string // those of them that have partitions

	place   string    // where its OID is
	noted   *captured // its last note, nil if there is none
	unknown bool      // the role may not read its notes
}

// find looks a table up and applies what is wanted of it.
func (s *Store) find(ctx context.Context, q pgschema.Querier, t Table) (*found, error) {
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
	return f, f.want(ctx, q, t)
}

// want applies what is wanted of a table.
func (f *found) want(ctx context.Context, q pgschema.Querier, t Table) error {
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
		if i := f.position(k); i < 0 || f.Columns[i].Masked {
			err := fmt.Errorf("column %q is in the key, and cannot be masked or excluded: rows could not be told apart", k)
			if t.Key != nil {
				err = &keyError{err.Error()}
			}
			return fmt.Errorf("changes: table %s: %w", t.Name, err)
		}
	}
	return nil
}

// has reports whether there is a column of that name.
func (f *found) has(name string) bool {
	return slices.ContainsFunc(f.all, func(c column) bool { return c.Name == name })
}

// judge refuses what has no rows of its own that triggers see.
func (f *found) judge(name string) error {
	switch f.kind {
	case "r", "p":
	case "v", "m":
		return fmt.Errorf("changes: %s is a view: capture the tables that it shows", name)
	case "f":
		return fmt.Errorf("changes: %s is a foreign table: capture it in the database where it is", name)
	default:
		return fmt.Errorf("changes: %s is not a table", name)
	}
	switch {
	case f.persistence == "t":
		return fmt.Errorf("changes: %s is a temporary table", name)
	case f.leaf:
		return fmt.Errorf("changes: %s is a partition: capture its parent, which captures all of its partitions", name)
	}
	return nil
}

// choose sets the columns that are captured.
func (f *found) choose(t Table) error {
	f.Columns, f.Exclude = nil, nil
	for _, name := range slices.Concat(t.Exclude, t.Mask, t.Hash) {
		if !f.has(name) {
			return fmt.Errorf("there is no column %q%s", name, meant(name, f.all))
		}
	}
	for _, name := range t.Key {
		if !f.has(name) {
			return &keyError{fmt.Sprintf("there is no column %q%s", name, meant(name, f.all))}
		}
	}
	for i := range f.all {
		c := &f.all[i]
		c.excluded = slices.Contains(t.Exclude, c.Name)
		c.Hashed = slices.Contains(t.Hash, c.Name)
		c.Masked = c.Hashed || slices.Contains(t.Mask, c.Name)
		if c.Hashed && slices.Contains(t.Mask, c.Name) {
			return fmt.Errorf("column %q is masked and hashed: choose one", c.Name)
		}
		if c.excluded && c.Masked {
			return fmt.Errorf("column %q is excluded and masked: choose one", c.Name)
		}
		if c.excluded {
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

// meant suggests a column with a similar name.
func meant(name string, columns []column) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	if similar := near.Of(name, names); similar != "" {
		return fmt.Sprintf(": did you mean %q?", similar)
	}
	return ""
}
