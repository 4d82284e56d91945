package relay_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// spoiled are changes to an event in a document that make it unreadable.
var spoiled = map[string]any{
	"metadata":    []int{1},
	"occurred_at": "infinity",
	"action":      nil,
	"target":      "no object",
	"tenant_id":   1,
}

// document is that of the row with a key.
func (w *world) document(key uuid.UUID) (text string) {
	w.Helper()
	w.must(w.db.QueryRowContext(ctx, "SELECT document FROM "+w.own("journal")+" WHERE key = '"+key.String()+"'").Scan(&text))
	return text
}

// set sets columns of the row with a key.
func (w *world) set(key uuid.UUID, columns string) {
	w.Helper()
	w.exec("UPDATE " + w.own("journal") + " SET " + columns + " WHERE key = '" + key.String() + "'")
}

func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// spoil changes an event, and returns what repairs it.
func (w *world) spoil(name, member string, value any) (repair func()) {
	w.Helper()
	at := w.entries()[name].Position
	before := w.document(at.Key)
	var events []map[string]any
	w.must(json.Unmarshal([]byte(before), &events))
	original := maps.Clone(events[at.Ordinal])
	events[at.Ordinal][member] = value
	write := func() {
		doc, err := json.Marshal(events)
		w.must(err)
		w.set(at.Key, "document = "+quoted(string(doc)))
	}
	write()
	return func() {
		w.must(json.Unmarshal([]byte(w.document(at.Key)), &events))
		events[at.Ordinal] = original
		write()
	}
}

// An entry that cannot be read is discarded with its reason; what is around it is
// delivered, and it comes when it has been repaired and is replayed.
func TestUnreadableEntry(t *testing.T) {
	for what, same := range map[string]bool{"another database": false, "the same database": true} {
		t.Run(what, func(t *testing.T) { each(t, func(w *world) { w.checkUnreadable(same) }) })
	}
}

func (w *world) checkUnreadable(same bool) {
	var repairs []func()
	good, bad := []string{"first"}, []string(nil)
	w.commit("first")
	whole := 1 // rows that can be deleted have so many events
	for _, member := range slices.Sorted(maps.Keys(spoiled)) {
		name := "bad_" + member
		w.commit(name)
		w.commit("good_"+name, name+"_too")
		for _, n := range []string{name, name + "_too"} {
			repairs = append(repairs, w.spoil(n, member, spoiled[member]))
		}
		good, bad = append(good, "good_"+name), append(bad, name, name+"_too")
	}
	_, err := w.store.States(ctx, w.db)
	w.must(err)
	target := w.target()
	target.SameDatabase = same
	r := w.start(relay.Config{Targets: []relay.Target{target}})
	w.drain(r)
	w.want(strings.Join(good, " "))
	w.checkDead(len(bad))
	purge, err := w.store.Purge(ctx, w.db, relay.PurgeOptions{Before: time.Now().Add(time.Hour), Dry: true})
	if w.must(err); purge.Events != int64(whole) {
		w.Errorf("a purge would delete %d events, want the %d in rows that were delivered", purge.Events, whole)
	}
	for _, repair := range repairs {
		repair()
	}
	w.must(r.Stop(ctx))
	if n := w.replay(relay.Selection{Reason: relay.ReasonUnreadable}); n != int64(len(bad)) {
		w.Errorf("%d replayed, want %d", n, len(bad))
	}
	r = w.start(relay.Config{Targets: []relay.Target{target}}) // which looks for them at once
	w.until("what was repaired comes", func() bool { return w.sink.all() == strings.Join(append(good, bad...), " ") })
	w.must(r.Stop(ctx))
	if left := len(w.failures(true)) + len(w.failures(false)); left != 0 {
		w.Errorf("%d failures are left", left)
	}
}

func (w *world) checkDead(want int) {
	w.Helper()
	dead := w.failures(true)
	if len(dead) != want || len(w.failures(false)) != 0 {
		w.Fatalf("%d are discarded and %d to be tried again, want %d and 0", len(dead), len(w.failures(false)), want)
	}
	for _, f := range dead {
		if f.Reason != "unreadable" || !strings.Contains(f.Error, f.Position.Text()) {
			w.Errorf("%+v", f)
		}
	}
	// What is told is told after the commit that shows it.
	w.until("that is told", func() bool { return len(w.sink.told(hooks.NoticeDiscarded)) >= want })
	if told := w.sink.told(hooks.NoticeDiscarded); len(told) != want {
		w.Errorf("discarded was told of %q", told)
	}
	w.sink.mu.Lock()
	for _, n := range w.sink.notices {
		if n.Kind == hooks.NoticeDiscarded && n.Count != 1 {
			w.Errorf("a notice about one entry counts %d", n.Count)
		}
	}
	w.sink.mu.Unlock()
	states, err := w.store.States(ctx, w.db)
	w.must(err)
	if s := states[0]; s.Discarded != int64(want) || s.Behind != 0 {
		w.Errorf("%+v", s)
	}
}

// damaged are changes to a row of two events, and how many dead letters come of each.
var damaged = map[string]int{
	"document = '{'":                    2,
	"document = ''":                     2,
	"document = '[null,1]'":             2,
	"document = NULL":                   2,
	"personal = '[]'":                   2,
	"personal = 'x'":                    2,
	"format = 2":                        2, // of a later version
	"events = 1":                        1,
	"events = 5":                        5,
	"recorded_at = '-infinity'":         2,
	"tx_started_at = '20000-01-01'":     2,
	"document = document || 'x'":        2,
	"document = substr(document, 1, 9)": 2,
}

// A row whose documents cannot be read, or that is of an unknown format, has as many dead
// letters as it says; the rows around it are delivered, and it is when it has been repaired.
func TestDamagedRow(t *testing.T) {
	each(t, func(w *world) {
		w.commit("first")
		var (
			good, bad = []string{"first"}, []string(nil)
			repairs   []func()
			dead      int
		)
		for _, damage := range slices.Sorted(maps.Keys(damaged)) {
			n := fmt.Sprint(len(good))
			w.commit("x"+n, "y"+n)
			w.commit(n)
			e := w.entries()["x"+n]
			doc, at := w.document(e.Key), e.RecordedAt.Format("2006-01-02T15:04:05.000000Z")
			w.set(e.Key, damage)
			good, bad, dead = append(good, n), append(bad, []string{"x" + n, "y" + n}[:min(damaged[damage], 2)]...), dead+damaged[damage]
			repairs = append(repairs, func() {
				w.set(e.Key, "events = 2, format = 1, personal = NULL, document = "+quoted(doc)+", recorded_at = '"+at+"', tx_started_at = '"+at+"'")
			})
		}
		r := w.start(relay.Config{Batch: 3})
		w.drain(r)
		w.want(strings.Join(good, " "))
		w.checkDead(dead)
		for _, repair := range repairs {
			repair()
		}
		w.must(r.Stop(ctx))
		w.replay(relay.Selection{Discarded: true})
		r = w.start(relay.Config{Batch: 3})
		w.until("what was repaired comes", func() bool { return w.state().Retrying == 0 })
		if got := strings.Fields(w.sink.all()); len(got) != len(good)+len(bad) {
			w.Errorf("delivered %q", got)
		}
		for _, n := range bad {
			if !contains(w.sink.all(), n) {
				w.Errorf("%s never came", n)
			}
		}
		w.must(r.Stop(ctx))
	})
}

// A sink that is down is not asked about what cannot be read, and none of that
// shows whether it is up.
func TestUnreadableEntriesOfASinkThatIsDown(t *testing.T) {
	each(t, func(w *world) {
		names := []string{"a", "b", "c", "d", "e", "f"}
		w.commit(names...)
		repairs := make(map[string]func())
		for _, n := range names {
			repairs[n] = w.spoil(n, "reason", 1)
		}
		repairs["d"]()
		w.sink.set(func(s *sink) { s.whole = errTransient })
		r := w.start(relay.Config{})
		w.until("it is suspended", func() bool { return len(w.sink.told(hooks.NoticeSuspended)) == 1 })
		w.sink.set(func(s *sink) { s.whole = nil })
		w.clock.pass(time.Minute)
		w.drain(r)
		w.want("d")
		w.checkDead(5)
	})
}

// Nor is what cannot be read tried when an entry has failed alone: the sink would seem to
// take it, and that would be held against the other.
func TestUnreadableEntriesAreNoProof(t *testing.T) {
	each(t, func(w *world) {
		w.sink.refuse = refuseBad
		w.commit("bad", "a", "b")
		w.spoil("a", "reason", 1)
		w.spoil("b", "reason", 1)
		w.start(relay.Config{})
		w.until("it is suspended", func() bool { return len(w.sink.told(hooks.NoticeSuspended)) == 1 })
		w.want("")
		if f := w.failures(false); len(f) > 0 {
			w.Errorf("counted: %+v", f)
		}
	})
}

// Entries may have lost their events' IDs: each is a dead letter all the same.
func TestEntryWithoutAnID(t *testing.T) {
	each(t, func(w *world) {
		w.commit("a", "b", "c")
		w.spoil("a", "id", "x")
		w.spoil("b", "id", uuid.Nil.String())
		r := w.start(relay.Config{})
		w.drain(r)
		w.must(r.Stop(ctx))
		w.want("c")
		dead := w.failures(true)
		if len(dead) != 2 {
			t.Errorf("%+v", dead)
		}
		for _, f := range dead {
			if f.EventID != uuid.Nil || f.Reason != "unreadable" || !strings.Contains(f.Error, "id: ") {
				t.Errorf("%+v", f)
			}
		}
		if n := w.replay(relay.Selection{Forwarder: name, From: time.Now().Add(-time.Hour)}); n != 3 {
			t.Errorf("%d replayed", n)
		}
		w.start(relay.Config{})
		w.until("c comes again", func() bool { return w.sink.all() == "c c" })
		w.until("a and b are discarded again", func() bool { return len(w.failures(true)) == 2 })
	})
}

// TestTwoOfOneID: where the journal has an event's ID twice, each entry is delivered, and a
// refusal holds for both.
func TestTwoOfOneID(t *testing.T) {
	each(t, func(w *world) {
		w.commit("a", "b")
		w.commit("c", "d")
		id := w.entries()["a"].ID
		w.spoil("b", "id", id.String())
		w.spoil("c", "id", id.String())
		w.sink.refuse = func(n string) error {
			if n == "b" {
				return permanent{errTransient}
			}
			return nil
		}
		r := w.start(relay.Config{Batch: 1})
		w.drain(r)
		w.must(r.Stop(ctx))
		w.want("a c d")
		if f := w.failures(true); len(f) != 1 || f[0].EventID != id || f[0].Position != w.entries()["b"].Position {
			t.Errorf("%+v, want b", f)
		}
		w.sink.set(func(s *sink) { s.refuse = nil })
		if n := w.replay(relay.Selection{IDs: []uuid.UUID{id}}); n != 3 {
			t.Errorf("%d are replayed, want a, b and c", n)
		}
		w.start(relay.Config{Batch: 1})
		w.until("each of them comes", func() bool { return w.sink.all() == "a c d a b c" })
		w.until("they are settled", func() bool { return w.state().Retrying == 0 })
	})
}
