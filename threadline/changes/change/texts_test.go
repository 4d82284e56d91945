package change

import (
	"slices"
	"strings"
	"testing"
)

// TestFieldTexts: what is shown is what has changed, and no value of a row that was not there.
func TestFieldTexts(t *testing.T) {
	digest := "70000 " + strings.Repeat("a", 64)
	fields := []Field{
		{Name: "id", Old: text("1"), New: text("1")},
		{Name: "a", Old: text("x"), New: text("y")},
		{Name: "none"},
		{Name: "set", New: text("")},
		{Name: "card", Old: Value{Masked: true}, New: Value{Masked: true}},
		{Name: "big", Old: cutTo("70000"), New: cutTo("70000")},
		{Name: "long", Old: cutTo(digest), New: cutTo(digest)},
		{Name: "n", Old: Value{Text: text("1").Text, Storage: "text"}, New: Value{Text: text("1").Text, Storage: "integer"}},
	}
	for _, c := range []struct {
		change Change
		want   []string
	}{
		{Change{Op: Update, Drifted: true, Fields: fields}, []string{"a: x → y", "set: NULL → ", "card: (masked) → (masked)", "big: (70000) → (70000)", "n: 1 → 1"}},
		{Change{Op: Update, Fields: fields[1:2]}, []string{"a: x → y"}},
		{Change{Op: Insert, KeyColumns: []string{"id"}, Fields: fields[:3]}, []string{"a: y", "none: NULL"}},
		{Change{Op: Insert, Drifted: true, Fields: fields[:2]}, []string{"id: 1", "a: y"}},
		{Change{Op: Delete, KeyColumns: []string{"id"}, Fields: fields[:2]}, []string{"id: 1", "a: x"}},
		{Change{Op: Truncate}, nil},
	} {
		if got := c.change.FieldTexts(); !slices.Equal(got, c.want) {
			t.Errorf("%s, drifted %t: %q, want %q", c.change.Op, c.change.Drifted, got, c.want)
		}
	}
}
