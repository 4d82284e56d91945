package catalog

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/go-aftercommit/aftercommit/threadline/internal/near"
)

// Shape is what a capture was planned for: a table, and its columns. Each change names its shape, so that it can be read
// after the table has changed.
type Shape struct {
	// ID is the table's ID, 0 if it is that of the first table of this name.
	ID      int64    `json:"table_id,omitempty"`
	Schema  string   `json:"schema"`
	Table   string   `json:"table"`
	OID     uint32   `json:"oid"`
	Columns []Column `json:"columns"` // those that are captured
	Key     []string `json:"key,omitempty"`
	Exclude []string `json:"exclude,omitempty"`

	Number int      `json:"-"` // in the order in which the table's shapes were made, from 1; 0 for one that is not in audit_shapes
	Places []string `json:"-"` // of the captures with this shape
}

// Column is a column of a shape, or of a table as the catalog has it.
type Column struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Masked bool   `json:"masked,omitempty"`
	Hashed bool   `json:"hashed,omitempty"` // and masked
	Number int    `json:"number,omitempty"` // pg_attribute.attnum; shapes of earlier versions have none
	// Table is the OID of the table, in audit_changes.columns alone.
	Table uint32 `json:"table,omitempty"`

	Long     bool     `json:"-"` // its values may be long
	Exact    bool     `json:"-"` // values that are equal have the same bytes
	Settings []string `json:"-"` // which its text depends on
	NotNull  bool     `json:"-"`
	TypeOID  uint32   `json:"-"`
	Excluded bool     `json:"-"`
	// Generated: it is computed of other columns, on SQLite.
	Generated bool `json:"-"`
	// From are the columns that it is computed of, on PostgreSQL.
	From []string `json:"-"`
}

// Text is the shape as it is stored. Fields are in the order of the type, so that the same
// shape has the same text.
func (s *Shape) Text() string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // it has texts and numbers only
	}
	return string(b)
}

// Digest identifies the shape.
func (s *Shape) Digest() int64 { return Digest(s.Text()) }

// TableID identifies the table, whatever it is called now.
func (s *Shape) TableID() int64 {
	if s.ID != 0 {
		return s.ID
	}
	return TableIDOf(s.Schema, s.Table)
}

// TableIDOf is the ID of the first table of a name.
func TableIDOf(schema, table string) int64 {
	b, err := json.Marshal([]string{schema, table})
	if err != nil {
		panic(err)
	}
	return Digest(string(b))
}

// Digest is a number that identifies a text.
func Digest(text string) int64 {
	sum := sha256.Sum256([]byte(text))
	return int64(binary.BigEndian.Uint64(sum[:8]) >> 1) // positive, for people
}

// FunctionPrefix is how the names of capture functions begin.
const FunctionPrefix = "capture_"

// Function is the name of the table's capture function. It stays the same when the table is renamed.
func (s *Shape) Function() string { return fmt.Sprintf("%s%016x", FunctionPrefix, s.TableID()) }

// Keyed reports whether rows have a key that identifies them.
func (s *Shape) Keyed() bool { return len(s.Key) > 0 }

// Position returns where the shape has a column, -1 if it has not.
func (s *Shape) Position(name string) int {
	return slices.IndexFunc(s.Columns, func(c Column) bool { return c.Name == name })
}

// Relation is a table as the catalog has it.
type Relation struct {
	Shape
	All         []Column // also those that are excluded
	Kind        string   // pg_class.relkind
	Persistence string   // pg_class.relpersistence
	Leaf        bool     // a partition
	Deferrable  bool     // its primary key
	Partitions  []string // of a partitioned table, qualified and quoted
	Partitioned []string // those of them that have partitions
	Foreign     []string // and those that are foreign tables
	Heirs       []string // tables that inherit from it, and are no partitions, without triggers of a capture

	Place       string   // where its OID is
	LastCapture *Capture // nil if there is none
	Unknown     bool     // the role may not read audit_captures, so that it is not known which history is the table's
}

// Has reports whether there is a column of that name.
func (f *Relation) Has(name string) bool {
	return slices.ContainsFunc(f.All, func(c Column) bool { return c.Name == name })
}

// Meant suggests a column with a similar name.
func Meant(name string, columns []Column) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	if similar := near.Of(name, names); similar != "" {
		return fmt.Sprintf(": did you mean %q?", similar)
	}
	return ""
}
