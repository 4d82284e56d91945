package changes_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/search"
)

// TestTableOfActions: a search for the row changes of a name says if that is only a target of actions, or a table that is not captured.
func TestTableOfActions(t *testing.T) {
	withTrail(t, func(w *trailed) {
		w.exec("CREATE TABLE shipments (id integer NOT NULL PRIMARY KEY)", "CREATE TABLE loose (id integer)")
		w.capture(capture.Table{Name: "shipments"})
		w.means("alice", hooks.Event{Action: "parcel.sent", Target: hooks.Target{Type: "parcel", ID: "7"}}, "INSERT INTO shipments VALUES (1)")
		w.means("alice", hooks.Event{Action: "loose.sent", Target: hooks.Target{Type: "loose", ID: "7"}}, "INSERT INTO shipments VALUES (2)")
		for name, want := range map[string][]string{
			"parcel":   {`no table "parcel" was ever captured`, "it is the target of actions", "target:parcel)"},
			"loose":    {"although there is such a table: to capture it", "target:loose)"},
			"shipment": {`did you mean "shipments"?`},
		} {
			terms, err := search.Parse("field:status table:" + name)
			w.must(err)
			q, err := terms.Changes(w.moment())
			w.must(err)
			_, err = w.store.Page(ctx, q)
			if err = terms.Explain(err); !errors.Is(err, changes.ErrNotCaptured) {
				t.Fatalf("%s: %v", name, err)
			}
			for _, part := range want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%s: %v, want %s", name, err, part)
				}
			}
			if strings.Contains(err.Error(), "target:") != (name != "shipment") {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
