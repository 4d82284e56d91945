package changes

import (
	"slices"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// RowDiff is how a row differs between two times.
type RowDiff struct {
	// Fields are those that differ, in the order of the columns: Old is the value at the earlier time, New that at the later one. Values
	// differ if their texts do, so that 1.0 and 1.00 do.
	Fields []Field
	// Unknown are the columns of which it is not known whether they differ: no value is kept of a masked column, for example.
	Unknown []string
}

// DiffRows compares a row with what it was earlier. A nil row means that there was none then: each field of the other is in the answer.
func DiffRows(before, after *Row) RowDiff {
	if before == nil {
		before = &Row{}
	}
	if after == nil {
		after = &Row{}
	}
	var d RowDiff
	for i := range after.Values {
		now := &after.Values[i]
		old := before.value(now.Name)
		if old == nil {
			d.Fields = append(d.Fields, Field{Name: now.Name, Type: now.Type, New: now.Value})
			continue
		}
		f := Field{Name: now.Name, Type: now.Type, Old: old.Value, New: now.Value}
		switch {
		case old.Unknown || now.Unknown:
			d.Unknown = append(d.Unknown, now.Name)
		case reading.SameSides(&f):
		case mayBeSame(&old.Value, &now.Value):
			d.Unknown = append(d.Unknown, now.Name)
		default:
			d.Fields = append(d.Fields, f)
		}
	}
	for _, old := range before.Values {
		if after.value(old.Name) == nil {
			d.Fields = append(d.Fields, Field{Name: old.Name, Type: old.Type, Old: old.Value})
		}
	}
	return d
}

// value is that of a column, nil if the row has none of the name.
func (r *Row) value(name string) *RowValue {
	i := slices.IndexFunc(r.Values, func(v RowValue) bool { return v.Name == name })
	if i < 0 {
		return nil
	}
	return &r.Values[i]
}

// mayBeSame reports whether two values that are not known to be the same are not known to differ either. A mask says nothing, a hash and a
// length only something if they are others.
func mayBeSame(a, b *Value) bool {
	if a.Masked != b.Masked || a.Masked && (a.Text == nil || b.Text == nil) {
		return true
	}
	return (a.Masked || a.Shortened && b.Shortened) && *a.Text == *b.Text
}
