package catalog

import (
	"slices"
)

// Before is what a table was captured with, nil if it was not. If a column that was masked or excluded is no
// longer there, it may have another name: then so are all that were not there before.
func (t *SQLiteTable) Before(shapes map[int64]*Shape) *Note {
	if t.LastCapture == nil || shapes[t.LastCapture.Shape.Int64] == nil {
		return nil
	}
	was := shapes[t.LastCapture.Shape.Int64]
	n := &Note{OID: 1} // which is no table's, so that columns are the same by their names alone
	for _, name := range t.LastCapture.Hidden.Key {
		n.Key = append(n.Key, NotedColumn{Name: name})
	}
	for _, c := range was.Columns {
		if c.Masked {
			n.Mask = t.orNew(n.Mask, c.Name)
		}
	}
	for _, name := range was.Exclude {
		n.Exclude = t.orNew(n.Exclude, name)
	}
	for _, name := range t.LastCapture.Hidden.Mask {
		n.Mask = t.orGone(n.Mask, was, name)
	}
	for _, name := range t.LastCapture.Hidden.Exclude {
		n.Exclude = t.orGone(n.Exclude, was, name)
	}
	return n
}

func (t *SQLiteTable) orNew(list []NotedColumn, name string) []NotedColumn {
	if t.Has(name) && !slices.Contains(t.Exchanged, name) {
		return append(list, NotedColumn{Name: name})
	}
	for _, c := range t.All {
		if t.isNew(c.Name) {
			list = append(list, NotedColumn{Name: c.Name})
		}
	}
	return list
}

// isNew reports whether a column was not there at the last capture, or had another name.
func (t *SQLiteTable) isNew(name string) bool {
	return !slices.Contains(t.LastCapture.columns, name) || slices.Contains(t.Exchanged, name)
}

// exchange finds the columns whose names others had at the last capture. SQLite keeps the order of columns, and adds new ones at the
// end, unless a table is copied, which drops our triggers. While these are there, a column in another place has another's name, and
// only columns that they do not name, excluded ones, may have been dropped.
func (t *SQLiteTable) exchange() {
	if t.LastCapture == nil || len(t.Triggers) == 0 {
		return
	}
	t.Exchanged = t.misplaced(t.LastCapture.columns)
	rest := slices.DeleteFunc(slices.Clone(t.LastCapture.columns), func(name string) bool {
		return slices.Contains(t.LastCapture.Hidden.Exclude, name) && !slices.ContainsFunc(t.All, func(c Column) bool { return c.Name == name })
	})
	if list := t.misplaced(rest); len(list) < len(t.Exchanged) {
		t.Exchanged = list
	}
}

// misplaced are the columns that had another place among those of the last capture that are left.
func (t *SQLiteTable) misplaced(left []string) (list []string) {
	for i, c := range t.All {
		if slices.Contains(t.LastCapture.columns, c.Name) && (i >= len(left) || left[i] != c.Name) {
			list = append(list, c.Name)
		}
	}
	return list
}

// orGone adds a column that was gone from a shape and is there now.
func (t *SQLiteTable) orGone(list []NotedColumn, was *Shape, name string) []NotedColumn {
	if t.Has(name) && was.Position(name) < 0 && !slices.Contains(was.Exclude, name) {
		return append(list, NotedColumn{Name: name})
	}
	return list
}

// Grown reports whether the table has columns or unique indexes that it had not at the last capture, if only by another name: what was written to
// such a column since, and the rows that REPLACE has removed because of such an index, are not kept.
func (t *SQLiteTable) Grown() bool {
	return t.LastCapture != nil && (slices.ContainsFunc(t.All, func(c Column) bool { return t.isNew(c.Name) }) ||
		slices.ContainsFunc(t.Unique, func(i SQLiteIndex) bool { return !slices.Contains(t.LastCapture.uniques, i.Text()) }))
}
