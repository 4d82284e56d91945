package reading

import (
	"strings"

	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
)

// Ops are the operations as audit_changes has them.
var Ops = map[string]change.Op{"I": change.Insert, "U": change.Update, "D": change.Delete, "T": change.Truncate}

// IsWhole reports whether the value was kept as it is: neither masked nor shortened.
func IsWhole(v *change.Value) bool { return !v.Masked && !v.Shortened }

// SameSides reports whether a field surely has the same value on both sides: of masked ones nothing is known, and texts of one
// length need not be the same.
func SameSides(f *change.Field) bool {
	if f.Old.Masked || f.New.Masked || f.Old.Shortened != f.New.Shortened || f.Old.Shortened && !hasDigest(*f.Old.Text) {
		return false
	}
	return SameValue(f.Old, f.New)
}

// hasDigest reports whether a shortened value has its SHA-256 behind its length. SQLite has no hash function, and of what is stored
// compressed PostgreSQL may keep only how many bytes it takes.
func hasDigest(text string) bool {
	_, digest, ok := strings.Cut(text, " ")
	return ok && len(digest) == 64
}

// SameValue reports whether both values are the same, of the same storage class.
func SameValue(v, o change.Value) bool {
	return v.Text == nil && o.Text == nil || v.Text != nil && o.Text != nil && *v.Text == *o.Text && v.Storage == o.Storage
}
