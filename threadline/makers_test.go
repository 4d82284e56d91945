package threadline

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

// tellSlowly is tell where each change looks at each statement.
func tellSlowly(actions []Action, made *changes.Transaction, tables *tables) *Story {
	s := &Story{Lost: made.Lost}
	for _, a := range actions {
		if a.Captured {
			s.Statements = append(s.Statements, Statement{Action: a})
		} else {
			s.Recorded = append(s.Recorded, a)
		}
	}
	groups := make([]int, len(s.Statements)) // of each statement, its group's first
	for i := range groups {
		groups[i] = i
	}
	var own []changes.Change
	var of []int
	for _, c := range made.Changes {
		if c.Nested || c.ForeignKey != "" {
			s.Nested = append(s.Nested, c)
			continue
		}
		first := -1
		for i := range s.Statements {
			switch {
			case !tables.mayHaveMade(&s.Statements[i].Action, &c):
			case first < 0:
				first = i
			default:
				a, b := groups[first], groups[i]
				for j := range groups {
					if groups[j] == a || groups[j] == b {
						groups[j] = min(a, b)
					}
				}
			}
		}
		if first < 0 {
			s.Unseen = append(s.Unseen, c)
			continue
		}
		own, of = append(own, c), append(of, first)
	}
	lost := make(map[string]bool)
	for _, l := range s.Lost {
		lost[tableName(l.Schema, l.Table)] = true
	}
	for g := range groups {
		var members []int
		var theirs []changes.Change
		for i := range groups {
			if groups[i] == g {
				members = append(members, i)
			}
		}
		for i, c := range own {
			if groups[of[i]] == g {
				theirs = append(theirs, c)
			}
		}
		if len(members) > 0 {
			s.share(members, theirs, tables)
			s.compare(members, theirs, tables, lost)
		}
	}
	return s
}

// randomStory are events and changes that have to do with each other now and then.
func randomStory(t *testing.T, r *rand.Rand, events, made int) ([]Action, *changes.Transaction) {
	t.Helper()
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	var actions []Action
	for range events {
		name := pick("orders", "orders", "part", "shown", "parent", "billing.bills", "secrets") + "." + pick("inserted", "updated", "updated", "deleted", "upserted", "truncated", "paid!")
		name += pick("", "", "", "~")
		if r.IntN(3) > 0 {
			name += fmt.Sprint("/", pick("", "", "code=", "line="), r.IntN(8))
		}
		if r.IntN(5) > 0 {
			name += fmt.Sprint(" ", r.IntN(3))
		}
		actions = append(actions, capturedAs(t, name))
	}
	tx := &changes.Transaction{}
	for range made {
		text := pick("insert", "update", "update", "delete", "truncate") + " " + pick("orders", "orders", "part", "billing.bills", "parent", "log")
		switch r.IntN(8) {
		case 0: // no key
		case 1:
			text += fmt.Sprintf(" %d>%d", r.IntN(8), r.IntN(8))
		case 2:
			text += fmt.Sprint(" ", r.IntN(8), " nested")
		default:
			text += fmt.Sprint(" ", pick("", "", "code="), r.IntN(8), pick("", fmt.Sprint(" code=", r.IntN(8)), fmt.Sprint(" line=", r.IntN(8)), " line="))
		}
		tx.Changes = append(tx.Changes, madeAs(text))
	}
	if r.IntN(4) == 0 {
		tx.Lost = append(tx.Lost, changes.Loss{Schema: "public", Table: pick("orders", "log"), Op: changes.Update})
	}
	return actions, tx
}

// TestTellAsSlowly: who may have made what is the same as where each change looks at each statement.
func TestTellAsSlowly(t *testing.T) {
	known := &tables{captured: capturedHere, reached: map[string][]string{"part": {"orders"}, "orders": {"part"}, "shown": {"part", "orders"}, "parent": {"log"}}}
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		actions, made := randomStory(t, r, r.IntN(12), r.IntN(16))
		got, want := tell(journal.TxKey{}, actions, made, known), tellSlowly(actions, made, known)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: got\n%swant\n%s", seed, outline(got), outline(want))
		}
	}
}

// TestTellPartition: a statement on a partition, a view or a parent may have made the changes that are kept under
// another name.
func TestTellPartition(t *testing.T) {
	known := &tables{captured: map[string]bool{"orders": true, "child": true}, reached: map[string][]string{"part": {"orders"}, "shown": {"orders"}, "parent": {"child"}}}
	var actions []Action
	for _, a := range []string{"part.updated/1 1", "shown.deleted 1", "parent.updated 2", "other.updated 1"} {
		actions = append(actions, capturedAs(t, a))
	}
	var made []changes.Change
	for _, c := range []string{"update orders 1", "delete orders 2", "update child 3", "update orders 4"} {
		made = append(made, madeAs(c))
	}
	const want = "part.updated: update 1\nshown.deleted: delete 2\nparent.updated: update 3\nother.updated: \nunseen: update 4\n" +
		"expected [2] 2 rows 1 changes: 1 row got the values that they had, in all columns that are captured\nexpected [3] 1 rows 0 changes: the row changes of other are not captured\n"
	if got := outline(tell(journal.TxKey{}, actions, &changes.Transaction{Changes: made}, known)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// longStory has statements of all kinds: on rows by their keys, and on any.
func longStory(n int) ([]Action, *changes.Transaction) {
	made := &changes.Transaction{}
	actions := make([]Action, 0, n)
	for i := range n {
		a := Action{Entry: journal.Entry{Event: hooks.Event{Action: "orders.updated", Captured: true, Target: hooks.Target{Type: "orders", ID: fmt.Sprint(i)}, Metadata: map[string]any{"rows": 1}}}}
		if i%2 == 0 {
			a.Action, a.Target = "lines.inserted", hooks.Target{Type: "lines"}
		}
		actions = append(actions, a)
		c := changes.Change{Op: changes.Update, Schema: "public", Table: "orders", KeyColumns: []string{"id"}, Key: []string{fmt.Sprint(i)}}
		if i%2 == 0 {
			c.Op, c.Table = changes.Insert, "lines"
		}
		made.Changes = append(made.Changes, c)
	}
	return actions, made
}

// BenchmarkTell: ten times as much takes about ten times as long, to most that is told.
func BenchmarkTell(b *testing.B) {
	for _, n := range []int{MaxTold / 10, MaxTold} {
		actions, made := longStory(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				tell(journal.TxKey{}, actions, made, &tables{captured: map[string]bool{"orders": true, "lines": true}})
			}
		})
	}
}
