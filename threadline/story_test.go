package threadline

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

// capturedAs is a captured event: "orders.updated 2" or "orders.updated/42 1" with an ID, without
// rows where it counts none. "orders.updated/code=42 1" has an ID of another column than id. "order.paid!" is one
// that the app has recorded, "orders.updated~ 1" is interleaved.
func capturedAs(t *testing.T, text string) Action {
	t.Helper()
	name, rows, counted := strings.Cut(text, " ")
	name, id, _ := strings.Cut(name, "/")
	column, of, other := strings.Cut(id, "=")
	if other {
		id = of
	}
	name, recorded := strings.CutSuffix(name, "!")
	name, interleaved := strings.CutSuffix(name, "~")
	a := Action{Entry: journal.Entry{Event: hooks.Event{Action: name, Captured: !recorded, Outcome: hooks.Success}}}
	a.Target = hooks.Target{Type: a.Category(), ID: id}
	if counted {
		var n int
		if _, err := fmt.Sscan(rows, &n); err != nil {
			t.Fatal(err)
		}
		a.Metadata = map[string]any{"rows": n, "interleaved": interleaved}
	}
	if other {
		if a.Metadata == nil {
			a.Metadata = make(map[string]any)
		}
		a.Metadata["column"] = column
	}
	return a
}

// madeAs is a change: "update orders 42", with " nested" at the end, or "42>43" as the key, which is id, or with
// "line=42" another column. "update orders 42 code=7" has the value in a field, "code=" has that masked.
func madeAs(text string) changes.Change {
	f := strings.Fields(text)
	c := changes.Change{Op: changes.Op(f[0]), Schema: "public", Table: f[1]}
	if schema, table, ok := strings.Cut(f[1], "."); ok {
		c.Schema, c.Table = schema, table
	}
	for i, word := range f[2:] {
		column, value, other := strings.Cut(word, "=")
		switch {
		case word == "nested":
			c.Nested = true
		case i > 0:
			field := changes.Field{Name: column, Old: changes.Value{Text: &value, Masked: value == ""}}
			if c.Op != changes.Delete {
				field.New, field.Old = field.Old, changes.Value{}
			}
			c.Fields = append(c.Fields, field)
		default:
			if !other {
				column, value = "id", word
			}
			from, to, moved := strings.Cut(value, ">")
			c.KeyColumns, c.Key = []string{column}, []string{from}
			if moved {
				c.FormerKey, c.Key = c.Key, []string{to}
			}
		}
	}
	return c
}

// told are stories: what comes of events and changes.
var told = map[string]struct {
	actions, made []string
	want          string
	lost          []changes.Loss
}{
	"each its own": {
		[]string{"orders.updated/1 1", "orders.updated/2 1", "billing.bills.inserted 1"},
		[]string{"update orders 2", "insert billing.bills 9", "update orders 1"},
		"orders.updated: update 1\norders.updated: update 2\nbilling.bills.inserted: insert 9\n", nil,
	},
	"an event of many rows": {
		[]string{"orders.inserted 3"},
		[]string{"insert orders 1", "insert orders 2", "insert orders 3"},
		"orders.inserted: insert 1, insert 2, insert 3\n", nil,
	},
	"in turn": {
		[]string{"orders.inserted/1 1", "orders.deleted/1 1", "orders.inserted/1 1"},
		[]string{"insert orders 1", "delete orders 1", "insert orders 1"},
		"orders.inserted: insert 1\norders.deleted: delete 1\norders.inserted: insert 1\n", nil,
	},
	"a changed key": {
		[]string{"orders.updated/1 1"},
		[]string{"update orders 1>5"},
		"orders.updated: update 5\n", nil,
	},
	"an ID of another column": {
		[]string{"orders.updated/code=1 1", "orders.updated/code=2 1"},
		[]string{"update orders 2", "update orders 1"},
		"orders.updated: \norders.updated: \nshared by [0 1]: update 2, update 1\n", nil,
	},
	"an ID of another column, which a field has": {
		[]string{"orders.inserted/code=1 1", "orders.inserted/code=2 1", "orders.deleted/code=1 1", "orders.deleted/2 1"},
		[]string{"insert orders 2 code=1", "insert orders 1 code=2", "delete orders 2 code=1"},
		"orders.inserted: insert 2\norders.inserted: insert 1\norders.deleted: \norders.deleted: \nshared by [2 3]: delete 2\n" +
			"[2 3] 2 rows 1 changes: no trigger saw 1 row: it was disabled, or the session replicates (session_replication_role), or capture began in between\n", nil,
	},
	"an ID of another column, which is masked": {
		[]string{"orders.inserted/code=1 1", "orders.inserted/code=2 1"},
		[]string{"insert orders 2 code=", "insert orders 1 code="},
		"orders.inserted: \norders.inserted: \nshared by [0 1]: insert 2, insert 1\n", nil,
	},
	"another key": {
		[]string{"orders.updated/1 1", "orders.updated/2 1"},
		[]string{"update orders code=2", "update orders code=1"},
		"orders.updated: \norders.updated: \nshared by [0 1]: update 2, update 1\n", nil,
	},
	"the one statement": {
		[]string{"orders.updated/code=1 1"},
		[]string{"update orders 7"},
		"orders.updated: update 7\n", nil,
	},
	"not certain which": {
		[]string{"orders.updated 1", "orders.updated/1 1"},
		[]string{"update orders 1"},
		"orders.updated: \norders.updated: \nshared by [0 1]: update 1\nexpected [0 1] 2 rows 1 changes: 1 row got the values that they had, in all columns that are captured\n", nil,
	},
	"not counted": {
		[]string{"orders.updated", "orders.upserted 1"},
		[]string{"update orders 1", "insert orders 2"},
		"orders.updated: \norders.upserted: \nshared by [0 1]: update 1, insert 2\n", nil,
	},
	"in turn would be wrong": {
		[]string{"orders.updated/1 1", "orders.upserted 1"},
		[]string{"update orders 2", "update orders 1"},
		"orders.updated: \norders.upserted: \nshared by [0 1]: update 2, update 1\n", nil,
	},
	"cascades and functions": {
		[]string{"orders.deleted/1 1"},
		[]string{"delete orders 1", "delete lines 7 nested", "insert log 1", "update orders 2"},
		"orders.deleted: delete 1\nnested: delete 7\nunseen: insert 1, update 2\n", nil,
	},
	"another table": {
		[]string{"orders.updated 1"},
		[]string{"update bills 1"},
		"orders.updated: \nunseen: update 1\nexpected [0] 1 rows 0 changes: 1 row got the values that they had, in all columns that are captured\n", nil,
	},
	"mixed": {
		[]string{"orders.updated~ 1", "orders.updated/2 1"},
		[]string{"update orders 1", "update orders 2"},
		"orders.updated: \norders.updated: \nshared by [0 1]: update 1, update 2\n", nil,
	},
	"more than both": {
		[]string{"orders.updated/1 1", "orders.updated 1"},
		[]string{"update orders 1", "update orders 1", "update orders 1"},
		"orders.updated: \norders.updated: \nshared by [0 1]: update 1, update 1, update 1\n[0 1] 2 rows 3 changes: 1 change more than the statements count: a function that they call, or a foreign key, may have made them\n", nil,
	},
	"nothing changed": {
		[]string{"orders.updated/1 1"},
		nil,
		"orders.updated: \nexpected [0] 1 rows 0 changes: 1 row got the values that they had, in all columns that are captured\n", nil,
	},
	"a trigger was disabled": {
		[]string{"orders.deleted 2"},
		[]string{"delete orders 1"},
		"orders.deleted: delete 1\n[0] 2 rows 1 changes: no trigger saw 1 row: it was disabled, or the session replicates (session_replication_role), or capture began in between\n", nil,
	},
	"more than was counted": {
		[]string{"orders.updated 1"},
		[]string{"update orders 1", "update orders 2"},
		"orders.updated: \nshared by [0]: update 1, update 2\n[0] 1 rows 2 changes: 1 change more than the statements count: a function that they call, or a foreign key, may have made them\n", nil,
	},
	"not captured": {
		[]string{"secrets.updated 2"},
		nil,
		"secrets.updated: \nexpected [0] 2 rows 0 changes: the row changes of secrets are not captured\n", nil,
	},
	"truncate": {
		[]string{"order.paid!", "orders.truncated", "schema.changed"},
		[]string{"truncate orders"},
		"orders.truncated: truncate \nschema.changed: \nrecorded: order.paid\n", nil,
	},
	"lost": {
		[]string{"orders.updated/1 1"},
		nil,
		"orders.updated: \n[0] 1 rows 0 changes: a trigger could not keep changes of orders: see what was lost\n",
		[]changes.Loss{{Schema: "public", Table: "orders", Op: changes.Update}},
	},
}

// capturedHere are the tables of told, but for secrets.
var capturedHere = map[string]bool{"orders": true, "bills": true, "lines": true, "log": true, "billing.bills": true}

func TestTell(t *testing.T) {
	for name, tt := range told {
		t.Run(name, func(t *testing.T) {
			var actions []Action
			for _, a := range tt.actions {
				actions = append(actions, capturedAs(t, a))
			}
			var made []changes.Change
			for _, c := range tt.made {
				made = append(made, madeAs(c))
			}
			s := tell(journal.TxKey{}, actions, &changes.Transaction{Changes: made, Lost: tt.lost}, &tables{captured: capturedHere})
			if got := outline(s); got != tt.want {
				t.Errorf("got\n%swant\n%s", got, tt.want)
			}
		})
	}
}

func outline(s *Story) string {
	list := func(made []changes.Change) string {
		var words []string
		for _, c := range made {
			words = append(words, string(c.Op)+" "+strings.Join(c.Key, ","))
		}
		return strings.Join(words, ", ") + "\n"
	}
	var b strings.Builder
	for _, t := range s.Statements {
		fmt.Fprintf(&b, "%s: %s", t.Action.Action, list(t.Changes))
	}
	for _, a := range s.Recorded {
		fmt.Fprintf(&b, "recorded: %s\n", a.Action)
	}
	for _, g := range s.Shared {
		fmt.Fprintf(&b, "shared by %v: %s", g.Statements, list(g.Changes))
	}
	if len(s.Nested) > 0 {
		b.WriteString("nested: " + list(s.Nested))
	}
	if len(s.Unseen) > 0 {
		b.WriteString("unseen: " + list(s.Unseen))
	}
	for _, d := range s.Differences {
		if d.Expected {
			b.WriteString("expected ")
		}
		fmt.Fprintf(&b, "%v %d rows %d changes: %s\n", d.Statements, d.Rows, d.Changes, d.Reason)
	}
	return b.String()
}
