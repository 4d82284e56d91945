package reading

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/rowtext"
)

// Table is a captured table: the shapes that its changes were kept under, and what it is now.
type Table struct {
	ID        int64
	Shapes    map[int64]*catalog.Shape
	called    map[*catalog.Shape]*catalog.Shape // with their columns called as they are now
	LastShape *catalog.Shape                    // the last of them
	Key       []string                          // the columns of the key, as they are called now
	Captures  []*catalog.Capture                // of its captures, in order
	others    []*catalog.Capture                // of other tables that had its name
	Here      string                            // the place of captures that are made now
	*LiveTable

	Dialect hooks.Dialect
	Copied  bool // see catalog.Database.Copied
}

// PastTable is a table of which only the shapes are known.
func PastTable(id int64, shapes map[int64]*catalog.Shape) *Table {
	return &Table{ID: id, Shapes: shapes, LastShape: lastOf(shapes), called: make(map[*catalog.Shape]*catalog.Shape)}
}

// lastOf is the shape that was made last, nil if there is none.
func lastOf(shapes map[int64]*catalog.Shape) (last *catalog.Shape) {
	for _, sh := range shapes {
		if last == nil || sh.Number > last.Number {
			last = sh
		}
	}
	return last
}

// Hides reports whether the values of a column, by its name now, must not be shown: it is, or ever was, masked or excluded, also
// under another name; or a column of its name was.
func (t *Table) Hides(column string) bool {
	if c := t.Column(column); c != nil && c.hidden {
		return true
	}
	for _, sh := range t.Shapes {
		if i := sh.Position(column); i >= 0 && sh.Columns[i].Masked || slices.Contains(sh.Exclude, column) {
			return true
		}
	}
	return false
}

// ShapeOf is the shape that a change was kept under. If it has drifted, the shape is that of its row of audit_changes.
func (t *Table) ShapeOf(r *Row) (*catalog.Shape, error) {
	if sh := t.Shapes[r.ShapeID.Int64]; sh != nil {
		return sh, nil
	}
	sh := &catalog.Shape{}
	if !r.columns.Valid {
		return sh, nil
	}
	if err := json.Unmarshal([]byte(r.columns.String), &sh.Columns); err != nil {
		return nil, err
	}
	for _, n := range t.Captures {
		if len(sh.Columns) > 0 && n.OID == sh.Columns[0].Table && r.System.Valid && strings.HasPrefix(n.Place, strconv.FormatInt(r.System.Int64, 10)+"/") {
			sh.OID, sh.Places = n.OID, append(sh.Places, n.Place)
		}
	}
	return sh, nil
}

// calledNow returns a shape with its columns called as they are now.
func (t *Table) calledNow(sh *catalog.Shape) *catalog.Shape {
	if t.LiveTable == nil {
		return sh
	}
	if called := t.called[sh]; called != nil {
		return called
	}
	called := sh.CalledAs(t.Now)
	if sh.Number > 0 { // and not of one change
		t.called[sh] = called
	}
	return called
}

// had reports whether the table had a name.
func (t *Table) had(schema, name string) bool {
	for _, sh := range t.Shapes {
		if sh.Schema == schema && sh.Table == name {
			return true
		}
	}
	return false
}

// Keyed reports whether rows had a key when their changes were captured.
func (t *Table) Keyed() bool {
	for _, sh := range t.Shapes {
		if sh.Keyed() {
			return true
		}
	}
	return false
}

// CheckKey refuses a key of a table that never had one, and one that has more or fewer values than any that the table has had: it is that of
// no row.
func (t *Table) CheckKey(key []string) error {
	if !t.Keyed() {
		return t.noKey()
	}
	columns := t.Key
	if len(columns) == 0 {
		var last *catalog.Shape
		for _, sh := range t.Shapes {
			if len(sh.Key) == len(key) {
				return nil
			}
			if sh.Keyed() && (last == nil || sh.Number > last.Number) {
				last = sh
			}
		}
		columns = last.Key
	}
	if len(columns) == len(key) {
		return nil
	}
	has := "columns"
	if len(columns) == 1 {
		has = "column"
	}
	return fmt.Errorf("changes: %w: the key of %s has %d %s, not %d: %s", change.ErrKey, t.Label(), len(columns), has, len(key), strings.Join(columns, ", "))
}

// noKey is [change.ErrNoKey] of the table.
func (t *Table) noKey() error {
	return fmt.Errorf("changes: %s: %w, so that none can be followed: %s, or ask for all changes of the table", t.Label(), change.ErrNoKey, catalog.NameKey)
}

// NeedsKey returns [change.ErrNoKey] if the table never had a key.
func (t *Table) NeedsKey() error {
	if t.Keyed() {
		return nil
	}
	return t.noKey()
}

// Label names the table for people.
func (t *Table) Label() string {
	switch {
	case t.LiveTable != nil:
		return t.Name
	case t.LastShape != nil:
		return pgschema.Ident(t.LastShape.Schema) + "." + pgschema.Ident(t.LastShape.Table)
	}
	return fmt.Sprintf("table %d", t.ID)
}

// Text is that of a key's values, as changes have it.
func (t *Table) Text(key []string) string {
	if t.Dialect == hooks.SQLite {
		return rowtext.FormatSQLite(key)
	}
	return rowtext.Format(key)
}

// Plain are a key's values without their storage classes, which are in the texts of keys on SQLite.
func (t *Table) Plain(key []string) []string {
	if t.Dialect != hooks.SQLite {
		return key
	}
	plain := slices.Clone(key)
	for i, text := range plain {
		if v, err := ParseSQLiteKey(text); err == nil {
			plain[i] = *v.Text
		}
	}
	return plain
}

// KeyValue is a value of a key.
func (t *Table) KeyValue(text string) (v change.Value, known bool) {
	if t.Dialect != hooks.SQLite {
		return change.Value{Text: &text}, true
	}
	v, err := ParseSQLiteKey(text)
	return v, err == nil
}
