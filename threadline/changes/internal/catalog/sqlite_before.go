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
	if t.Has(name) {
		return append(list, NotedColumn{Name: name})
	}
	for _, c := range t.All {
		if !slices.Contains(t.LastCapture.columns, c.Name) {
			list = append(list, NotedColumn{Name: c.Name})
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

// Grown reports whether the table has columns or unique indexes that it had not at the last capture: what was written to
// such a column since, and the rows that REPLACE has removed because of such an index, are not kept.
func (t *SQLiteTable) Grown() bool {
	return t.LastCapture != nil && (slices.ContainsFunc(t.All, func(c Column) bool { return !slices.Contains(t.LastCapture.columns, c.Name) }) ||
		slices.ContainsFunc(t.Unique, func(i SQLiteIndex) bool { return !slices.Contains(t.LastCapture.uniques, i.Text()) }))
}
