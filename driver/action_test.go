package driver

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// TestActionOfAnyName: whatever the names of a table and its schema are, and wherever they are
// cut, their action is one.
func TestActionOfAnyName(t *testing.T) {
	for n := range hooks.MaxAction + 2 {
		for _, table := range []lex.Table{
			{Schema: strings.Repeat("s", n), Name: "things"}, {Schema: "s", Name: strings.Repeat("t", n)}, {Schema: strings.Repeat(".", n), Name: strings.Repeat(".", n)},
		} {
			for _, verb := range verbs {
				if verb == "" {
					continue
				}
				action := actionOf(sqlite{}, table, verb)
				e, err := hooks.Prepare(hooks.Event{Action: action})
				if err != nil || e.Action != action {
					t.Errorf("%d bytes: %v", n, err)
				}
			}
		}
	}
}
