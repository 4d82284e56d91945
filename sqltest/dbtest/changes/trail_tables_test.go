package changes_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// TestTrailOfTablesAndOtherTargets: a name that is no captured table's, of which there are actions, does not take the row
// changes of the others away.
func TestTrailOfTablesAndOtherTargets(t *testing.T) {
	withTrail(t, func(w *trailed) {
		w.exec("CREATE TABLE orders (id int PRIMARY KEY, status text)")
		w.capture(capture.Table{Name: "orders"})
		for _, id := range []string{"1", "2", "3"} {
			w.means("alice", hooks.Event{Action: "parcel.sent", Target: hooks.Target{Type: "parcel", ID: id}}, "INSERT INTO orders VALUES ("+id+")")
		}
		count := func(list []trail.Item) (actions, rows int) {
			for _, item := range list {
				if item.Change != nil {
					rows++
				} else if !item.Action.Captured {
					actions++
				}
			}
			return actions, rows
		}
		for _, tables := range [][]string{{"orders", "parcel"}, {"parcel", "orders"}} {
			q := trail.Query{Tables: tables}
			if actions, rows := count(w.each(q)); actions != 3 || rows != 3 {
				t.Errorf("of %v there are %d actions and %d row changes, want 3 of each", tables, actions, rows)
			}
			q.Limit = 5
			if actions, rows := count(w.pages(q)); actions != 3 || rows != 3 {
				t.Errorf("on pages of %v there are %d actions and %d row changes, want 3 of each", tables, actions, rows)
			}
		}
		if actions, rows := count(w.each(trail.Query{Tables: []string{"parcel"}})); actions != 3 || rows != 0 {
			t.Errorf("of parcels alone there are %d actions and %d row changes", actions, rows)
		}
	})
}
