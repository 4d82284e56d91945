package change_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
)

// TestStrings: what a program prints can be read.
func TestStrings(t *testing.T) {
	text := func(s string) change.Value { return change.Value{Text: &s} }
	hash, long, stored := text("0a1b"), text("70000 0c2d"), text("stored 3000000")
	hash.Masked, long.Shortened, stored.Shortened = true, true, true
	c := change.Change{Op: change.Insert, Fields: []change.Field{{Name: "a", New: text("x")}}}
	if got := fmt.Sprint(c.Diff().Fields); got != "[a: (no row) → x]" {
		t.Error(got)
	}
	c = change.Change{Op: change.Update, Fields: []change.Field{
		{Name: "a", Old: text("x"), New: change.Value{}}, {Name: "b", Old: change.Value{Masked: true}, New: hash}, {Name: "c", Old: long, New: stored}, {Name: "d", Old: text("\xff"), New: text("")},
	}}
	if got := fmt.Sprint(c.Diff().Fields); got != "[a: x → NULL b: (masked) → (masked 0a1b) c: (70000 0c2d) → (stored 3000000) d: \xff → ]" {
		t.Error(got)
	}
	length := text("70000")
	length.Shortened = true
	c = change.Change{Op: change.Update, Fields: []change.Field{{Name: "a", Old: length, New: text("x")}}}
	if got := fmt.Sprint(c.Diff().Fields); got != "[a: (70000) → x]" {
		t.Error(got)
	}
	at := time.Date(2026, 11, 30, 10, 0, 0, 1000, time.UTC)
	b := change.Break{Kind: change.Reshaped, From: at, To: at, Text: `column "x" was added`}
	if got := fmt.Sprint(b); got != `reshaped at 2026-11-30T10:00:00.000001Z: column "x" was added` {
		t.Error(got)
	}
	b.To = at.Add(time.Second)
	if got := fmt.Sprint(b); got != `reshaped between 2026-11-30T10:00:00.000001Z and 2026-11-30T10:00:01.000001Z: column "x" was added` {
		t.Error(got)
	}
}
