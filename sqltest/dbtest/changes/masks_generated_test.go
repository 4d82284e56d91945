package changes_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestGeneratedFromHidden: a plan, and Keep, warn of a generated column that is kept, and has something of what is masked, hashed or excluded.
func TestGeneratedFromHidden(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec(`CREATE TABLE t (id int PRIMARY KEY, card text, number text, pin text, other text,
			a text GENERATED ALWAYS AS (right(card, 4)) STORED, b text GENERATED ALWAYS AS (number || pin) STORED, c text GENERATED ALWAYS AS (upper(other)) STORED, d text GENERATED ALWAYS AS (lower(card)) STORED, e text DEFAULT 'x')`)
		table := capture.Table{Name: "t", Mask: []string{"card", "d"}, Hash: []string{"number"}, Exclude: []string{"pin"}}
		plan, err := w.installer().Plan(ctx, table)
		w.must(err)
		want := []string{`column "a" is computed from card,`, `column "b" is computed from number, pin,`}
		for _, got := range []string{strings.Join(plan.Warnings, "\n"), w.keep(table)} {
			for _, part := range want {
				if !strings.Contains(got, part) {
					t.Errorf("the warnings do not have %q:\n%s", part, got)
				}
			}
			if strings.Count(got, "is computed from") != len(want) {
				t.Errorf("the warnings are\n%s", got)
			}
		}
	})
}
