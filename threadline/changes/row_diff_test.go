package changes

import (
	"fmt"
	"strings"
	"testing"
)

// TestDiffRows: what differs, what does not, and what is not known.
func TestDiffRows(t *testing.T) {
	of := func(s string) Value { return Value{Text: &s} }
	masked := func(v Value) Value { v.Masked = true; return v }
	shortened := func(s string) Value { v := of(s); v.Shortened = true; return v }
	digest := "70000 " + strings.Repeat("a", 64)
	for _, c := range []struct {
		old, now Value
		want     string
	}{
		{of("1"), of("1"), ""},
		{of("1.0"), of("1.00"), "1.0 → 1.00"},
		{Value{}, Value{}, ""},
		{Value{}, of(""), "NULL → "},
		{of("a"), Value{}, "a → NULL"},
		{masked(Value{}), masked(Value{}), "?"},
		{masked(Value{}), of("1"), "?"},
		{masked(of("ab")), masked(of("ab")), "?"},
		{masked(of("ab")), masked(of("cd")), "(masked ab) → (masked cd)"},
		{shortened("70000"), shortened("70000"), "?"},
		{shortened("70000"), shortened("70001"), "(70000) → (70001)"},
		{shortened("stored 900"), shortened("stored 900"), "?"},
		{shortened(digest), shortened(digest), ""},
		{shortened("70000"), of("a"), "(70000) → a"},
		{Value{Text: of("1").Text, Storage: "integer"}, Value{Text: of("1").Text, Storage: "text"}, "1 → 1"},
	} {
		row := func(v Value) *Row { return &Row{Values: []RowValue{{Name: "a", Value: v}}} }
		d := DiffRows(row(c.old), row(c.now))
		got := strings.Repeat("?", len(d.Unknown))
		for _, f := range d.Fields {
			got += f.Old.String() + " → " + f.New.String()
		}
		if got != c.want {
			t.Errorf("%v and %v: %q, want %q", c.old, c.now, got, c.want)
		}
	}
	a := &Row{Values: []RowValue{{Name: "a", Value: of("1")}, {Name: "b", Unknown: true}}}
	b := &Row{Values: []RowValue{{Name: "b"}, {Name: "c", Value: of("2")}}}
	for want, d := range map[string]RowDiff{
		"[a: 1, NULL b: NULL, NULL] []": DiffRows(a, nil),
		"[a: NULL, 1 b: NULL, NULL] []": DiffRows(nil, a),
		"[c: NULL, 2 a: 1, NULL] [b]":   DiffRows(a, b),
		"[] []":                         DiffRows(nil, nil),
	} {
		list := make([]string, len(d.Fields))
		for i, f := range d.Fields {
			list[i] = fmt.Sprintf("%s: %s, %s", f.Name, f.Old, f.New)
		}
		if got := fmt.Sprint(list, d.Unknown); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
