package txn

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
)

func newTracker() *Tracker {
	t := &Tracker{}
	t.Follow(&Config{MaxEvents: 100, MaxBytes: 1 << 20, NewEvent: func(k Key, _ map[string]any) hooks.Event {
		return hooks.Event{ID: hooks.NewID(), Action: k.Action, Target: k.Target}
	}})
	t.Begin(Start{})
	return t
}

func insert(table, id string) Operation {
	return Operation{Effect: Inserted, Key: Key{Action: table + ".inserted", Target: hooks.Target{Type: table, ID: id}}}
}

// write does what a flush does.
func write(t *Tracker) {
	_ = t.Pending()
	t.Written()
}

func actions(events []hooks.Event) string {
	var all []string
	for _, e := range events {
		all = append(all, e.Action)
	}
	return strings.Join(all, " ")
}

func ended(t *testing.T, tr *Tracker) []hooks.Event {
	t.Helper()
	all := tr.TakeEnded()
	if len(all) == 0 {
		t.Fatal("nothing has ended")
	}
	return all[len(all)-1].Events
}

// TestEndedAsWritten: the end reports what the only write had, also if its counts would be
// others now.
func TestEndedAsWritten(t *testing.T) {
	tr := newTracker()
	f := tr.Capture(insert("orders", ""))
	f.Add(1)
	write(tr)
	f.Add(1)
	tr.End(hooks.Committed)
	if n := ended(t, tr)[0].Metadata["statements"]; n != 1 {
		t.Errorf("%v statements, want the one that was written", n)
	}
}

// TestEndedUnwritten: what was looked at, and was not written, goes on changing.
func TestEndedUnwritten(t *testing.T) {
	tr := newTracker()
	f := tr.Capture(insert("orders", ""))
	f.Add(1)
	tr.Pending()
	f.Add(1)
	tr.End(hooks.RolledBack)
	if n := ended(t, tr)[0].Metadata["statements"]; n != 2 {
		t.Errorf("%v statements, want 2", n)
	}
}

// TestEndedWithOthers: the end does not report a write whose events have made room for others.
func TestEndedWithOthers(t *testing.T) {
	tr := newTracker()
	add := func(action string) {
		t.Helper()
		if err := tr.Add(hooks.Event{ID: uuid.New(), Action: action}); err != nil {
			t.Fatal(err)
		}
	}
	add("a.a")
	add("a.b")
	write(tr)
	tr.maybe = 1
	tr.giveUp() // on the first
	add("a.c")
	write(tr)
	tr.End(hooks.Committed)
	if got := actions(ended(t, tr)); got != "a.b a.c" {
		t.Errorf("ended: %s, want a.b a.c", got)
	}
}

// TestNewsWhileReporting: what ends while others are reported is kept.
func TestNewsWhileReporting(t *testing.T) {
	tr := newTracker()
	tr.RolledBack([]hooks.Event{{Action: "a.a"}})
	first := tr.TakeEnded()
	tr.RolledBack([]hooks.Event{{Action: "a.b"}})
	tr.GiveBack(first)
	if got := actions(ended(t, tr)); got != "a.b" {
		t.Errorf("ended: %s, want a.b", got)
	}
	if first[0].Events != nil {
		t.Error("what was reported is kept")
	}
}

// TestLearnedKey: once the key of a row is known, statements without one do not join its event,
// and those with it do; whether there are other events or not.
func TestLearnedKey(t *testing.T) {
	for _, others := range []int{0, 1} {
		tr := newTracker()
		for range others {
			tr.Capture(insert("visits", "")).Add(1)
		}
		f := tr.Capture(insert("orders", ""))
		f.Add(0)
		f.Reads()
		tr.Settle(f, Returned{Rows: 1, Known: true, ID: "7"}, tr.Statements())
		if !f.HasID() {
			t.Fatal("the key was not learned")
		}
		if g := tr.Capture(insert("orders", "7")); g != f {
			t.Errorf("behind %d others, a statement with the key does not join the event", others)
		}
		if g := tr.Capture(insert("orders", "")); g == f {
			t.Errorf("behind %d others, a statement without a key joins the event of a row", others)
		}
	}
}
