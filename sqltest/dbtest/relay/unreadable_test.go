package relay_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// spoiled are changes to a row of the journal that make it unreadable, and what
// repairs it.
var spoiled = map[hooks.Dialect]map[string]string{
	hooks.Postgres: {
		"metadata = '[1]'":            "metadata = NULL",
		"occurred_at = 'infinity'":    "occurred_at = now()",
		"occurred_at = '20000-01-01'": "occurred_at = now()",
		"recorded_at = '-infinity'":   "recorded_at = now()",
	},
	hooks.SQLite: {
		"metadata = '[1]'":    "metadata = NULL",
		"occurred_at = x'00'": "occurred_at = '2026-01-01T00:00:00.000000Z'",
		"recorded_at = ''":    "recorded_at = '2026-01-01T00:00:00.000000Z'",
		"tx_id = 'x'":         "tx_id = 1",
	},
}

func (w *world) change(set, name string) {
	w.Helper()
	where := " WHERE target_id = '" + name + "'"
	if name == "" {
		where = ""
	}
	_, err := w.db.ExecContext(ctx, "UPDATE "+w.journal()+" SET "+set+where)
	w.must(err)
}

// journal is the table of the events.
func (w *world) journal() string {
	if w.e.Dialect == hooks.SQLite {
		return "aftercommit_events"
	}
	return "aftercommit.audit_events"
}

// An entry that cannot be read is discarded with its reason; what is around it is
// delivered, and it comes when it has been repaired and is replayed.
func TestUnreadableEntry(t *testing.T) {
	for what, same := range map[string]bool{"another database": false, "the same database": true} {
		t.Run(what, func(t *testing.T) { each(t, func(w *world) { w.checkUnreadable(same) }) })
	}
}

func (w *world) checkUnreadable(same bool) {
	repairs := map[string]string{}
	good, bad := []string{"first"}, []string(nil)
	w.commit("first")
	for set, repair := range spoiled[w.e.Dialect] {
		name := fmt.Sprintf("bad_%d", len(bad))
		w.commit(name)
		w.commit("good_"+name, name+"_too")
		w.change(set, name)
		w.change(set, name+"_too")
		good, bad = append(good, "good_"+name), append(bad, name, name+"_too")
		repairs[name], repairs[name+"_too"] = repair, repair
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
	if w.must(err); purge.Events != int64(len(good)) {
		w.Errorf("a purge would delete %d events, want the %d that were delivered", purge.Events, len(good))
	}
	for name, repair := range repairs {
		w.change(repair, name)
	}
	if n := w.replay(relay.Selection{Reason: relay.ReasonUnreadable}); n != int64(len(bad)) {
		w.Errorf("%d replayed, want %d", n, len(bad))
	}
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
		if f.Reason != "unreadable" || !strings.Contains(f.Error, "seq ") || f.EventID == uuid.Nil {
			w.Errorf("%+v", f)
		}
	}
	if told := w.sink.told(hooks.NoticeDiscarded); len(told) != want {
		w.Errorf("discarded was told of %q", told)
	}
	states, err := w.store.States(ctx, w.db)
	w.must(err)
	if s := states[0]; s.Discarded != int64(want) || s.Behind != 0 {
		w.Errorf("%+v", s)
	}
}

// A sink that is down is not asked about what cannot be read, and none of that
// shows whether it is up.
func TestUnreadableEntriesOfASinkThatIsDown(t *testing.T) {
	each(t, func(w *world) {
		w.commit("a", "b", "c", "d", "e", "f")
		w.change("metadata = '[1]'", "")
		w.change("metadata = NULL", "d")
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
		w.change("metadata = '[1]'", "a")
		w.change("metadata = '[1]'", "b")
		w.start(relay.Config{})
		w.until("it is suspended", func() bool { return len(w.sink.told(hooks.NoticeSuspended)) == 1 })
		w.want("")
		if f := w.failures(false); len(f) > 0 {
			w.Errorf("counted: %+v", f)
		}
	})
}

// On SQLite the app owns the file: an entry may have lost its event's ID.
func TestEntryWithoutAnID(t *testing.T) {
	w := newWorld(t, dbtest.SQLite)
	w.commit("a", "b", "c")
	w.change("id = 'x' || seq", "a")
	w.change("id = x'00'", "b")
	r := w.start(relay.Config{})
	w.drain(r)
	w.want("c")
	dead := w.failures(true)
	if len(dead) != 1 || dead[0].Reason != "unreadable" || !strings.Contains(dead[0].Error, "(id: ") {
		t.Errorf("%+v", dead)
	}
	if n := w.replay(relay.Selection{Forwarder: name, From: time.Now().Add(-time.Hour)}); n != 3 {
		t.Errorf("%d replayed", n)
	}
	w.until("c comes again", func() bool { return w.sink.all() == "c c" })
	w.must(r.Stop(ctx))
	for _, f := range w.failures(false) {
		if f.EventID != uuid.Nil {
			t.Errorf("%+v", f)
		}
	}
}
