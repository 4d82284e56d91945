package txn

import (
	"slices"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
)

func TestContexts(t *testing.T) {
	by := func(id string) hooks.Values { return hooks.Values{Actor: hooks.Actor{Type: hooks.User, ID: id}} }
	r := NewRecord(&Config{MaxEvents: 3}, hooks.Strict)
	want := func(ids ...string) {
		t.Helper()
		var got []string
		for _, v := range r.Contexts() {
			got = append(got, v.Actor.ID)
		}
		if !slices.Equal(got, ids) {
			t.Errorf("noted are %v, want %v", got, ids)
		}
	}
	for _, id := range []string{"a", "b", "a"} {
		r.NoteContext(by(id))
	}
	want("a", "b")
	r.Savepoint("s")
	r.NoteContext(by("c"))
	r.NoteContext(by("d")) // beyond the limit
	want("a", "b", "c")
	r.RollbackTo("s")
	want("a", "b")
	r.forget()
	want()
}
