package changes

import (
	"slices"
	"strings"
)

// Foreign keys change rows without a statement, and at the depth of the statement that they follow.
// What shows it is that a row with the same values was deleted, or got others, just before: those that
// still referred to it were left to the foreign key.

// byForeignKeys sets ForeignKey of a transaction's changes, which come in order. Of a foreign key from a
// table to itself it is not known, because one statement may have changed both rows.
func (r *snapshot) byForeignKeys(list []Change, rows []*row) {
	from, to := make(map[int64][]*foreignKey), make(map[int64][]*foreignKey) // by the OIDs of tables
	tables := make(map[int64]int64)                                          // OIDs
	for id, t := range r.tables {
		if t.liveTable == nil {
			continue
		}
		tables[id] = t.OID
		for _, k := range t.Keys {
			if k.Child != k.Parent {
				from[k.Child], to[k.Parent] = append(from[k.Child], k), append(to[k.Parent], k)
			}
		}
	}
	type went struct {
		key    *foreignKey
		op     Op
		values string
	}
	gone := make(map[went]bool)
	for i := range list {
		c, table := &list[i], tables[rows[i].tableID]
		for _, k := range from[table] {
			values, ok := c.values(k.Columns, func(f *Field) *Value { return &f.Old })
			if ok && (gone[went{k, Delete, values}] && c.follows(k.OnDelete) || gone[went{k, Update, values}] && c.Op == Update && k.OnUpdate != "a" && k.OnUpdate != "r") {
				c.ForeignKey = k.Name
			}
		}
		for _, k := range to[table] {
			if values, ok := c.values(k.References, func(f *Field) *Value { return &f.Old }); ok {
				gone[went{k, c.Op, values}] = true
			}
			if values, ok := c.values(k.References, func(f *Field) *Value { return &f.New }); ok { // it is there again
				delete(gone, went{k, Delete, values})
				delete(gone, went{k, Update, values})
			}
		}
	}
}

// follows reports whether the change is what a foreign key's action does.
func (c *Change) follows(onDelete string) bool {
	switch onDelete {
	case cascades:
		return c.Op == Delete
	case setNull, setDefault:
		return c.Op == Update
	}
	return false
}

// values returns a side of columns, and false unless all are known and none is NULL.
func (c *Change) values(columns []string, side func(*Field) *Value) (values string, ok bool) {
	var b strings.Builder
	for _, name := range columns {
		i := slices.IndexFunc(c.Fields, func(f Field) bool { return f.Name == name })
		if i < 0 {
			return "", false
		}
		v := side(&c.Fields[i])
		if v.Text == nil || !v.known() {
			return "", false
		}
		b.WriteString(*v.Text + "\x00")
	}
	return b.String(), true
}
