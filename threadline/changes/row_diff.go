package changes

import (
	"slices"
)

// RowDiff says how a row differs between two times.
type RowDiff struct {
	// Fields are those that differ, in the order of the columns: Old is the value at the earlier time, New that at the later one. Values
	// differ if their texts do, so that 1.0 and 1.00 do.
	Fields []Field
	// Unknown are the columns of which it is not known whether they differ: no value is kept of a masked column, for example.
	Unknown []string
}

// DiffRows compares a row with what it was earlier. A nil row means that there was none: then Fields has each field of the other.
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
		case f.Unchanged():
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

// value returns the value of a column, nil if the row has no such column.
func (r *Row) value(name string) *RowValue {
	i := slices.IndexFunc(r.Values, func(v RowValue) bool { return v.Name == name })
	if i < 0 {
		return nil
	}
	return &r.Values[i]
}

// mayBeSame reports whether two values may be the same, although that is not known. A mask never says; hashes and lengths say only if they
// differ.
func mayBeSame(a, b *Value) bool {
	if a.Masked != b.Masked || a.Masked && (a.Text == nil || b.Text == nil) {
		return true
	}
	return (a.Masked || a.Shortened && b.Shortened) && *a.Text == *b.Text
}
