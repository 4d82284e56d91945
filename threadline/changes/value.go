package changes

import "strings"

// ops are the operations as audit_changes has them.
var ops = map[string]Op{"I": Insert, "U": Update, "D": Delete, "T": Truncate}

// isWhole reports whether the value is the whole one.
func isWhole(v *Value) bool { return !v.Masked && !v.Cut }

// sameSides reports whether both are surely the same: of masked ones nothing is known.
func sameSides(f *Field) bool {
	if f.Old.Masked || f.New.Masked || f.Old.Cut != f.New.Cut || f.Old.Cut && strings.HasPrefix(*f.Old.Text, "stored ") {
		return false
	}
	return sameValue(f.Old, f.New)
}

// sameValue reports whether both values are the same, of the same storage class.
func sameValue(v, o Value) bool {
	return v.Text == nil && o.Text == nil || v.Text != nil && o.Text != nil && *v.Text == *o.Text && v.Storage == o.Storage
}
