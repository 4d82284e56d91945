package change

import "strings"

// Unchanged reports whether the field surely has the same value before and after. Of masked values nothing is known, and shortened ones of
// one length need not be the same.
func (f *Field) Unchanged() bool {
	if f.Old.Masked || f.New.Masked || f.Old.Shortened != f.New.Shortened || f.Old.Shortened && !hasDigest(*f.Old.Text) {
		return false
	}
	return f.Old.Equal(f.New)
}

// hasDigest reports whether a shortened value has its SHA-256 behind its length. SQLite has no hash function, and of what is stored
// compressed PostgreSQL may keep only how many bytes it takes.
func hasDigest(text string) bool {
	_, digest, ok := strings.Cut(text, " ")
	return ok && len(digest) == 64
}

// Equal reports whether both values have the same text, of the same storage class, or both none.
func (v Value) Equal(o Value) bool {
	return v.Text == nil && o.Text == nil || v.Text != nil && o.Text != nil && *v.Text == *o.Text && v.Storage == o.Storage
}
