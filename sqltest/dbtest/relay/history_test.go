package relay_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// swap runs the last step of an upgrade, where there is one, as if an hour had passed.
func (o *older) swap() {
	o.Helper()
	if o.e.Dialect == hooks.SQLite {
		return
	}
	o.exec("UPDATE " + o.table() + " SET recorded_at = recorded_at - interval '2 hours'")
	script, err := journal.Swap(nil)
	o.must(err)
	o.exec(script)
}

// kept are the names of the events in the table of the earlier version.
func (o *older) kept(table string) string {
	o.Helper()
	rows, err := o.db.QueryContext(ctx, "SELECT target_id FROM "+table+" ORDER BY seq")
	o.must(err)
	defer rows.Close()
	var names []string
	for rows.Next() {
		var n string
		o.must(rows.Scan(&n))
		names = append(names, n)
	}
	o.must(rows.Err())
	return strings.Join(names, " ")
}

// eachHistory is eachOlder, before journal.Swap and after it. The forwarder has got what was
// written with a relay of the earlier version.
func eachHistory(t *testing.T, written []string, f func(o *older, table string)) {
	t.Helper()
	for name, swap := range map[string]bool{"before Swap": false, "after Swap": true} {
		t.Run(name, func(t *testing.T) {
			eachOlder(t, func(o *older) {
				for _, n := range written {
					o.write(n)
				}
				o.passed("sink/default")
				table := o.table()
				if swap {
					o.swap()
					table = strings.Replace(table, "audit_events", "audit_events_before", 1)
				}
				f(o, table)
			})
		})
	}
}

// replays is replay, after it was only counted.
func (o *older) replays(sel relay.Selection, want int64) {
	o.Helper()
	sel.Forwarder = name
	n, err := o.store.Replay(ctx, o.db, sel, true)
	o.must(err)
	if n != want {
		o.Errorf("%d would be replayed, want %d", n, want)
	}
	if n, err = o.store.Replay(ctx, o.db, sel, false); err != nil || n != want {
		o.Errorf("%d, %v are replayed, want %d", n, err, want)
	}
}

// TestReplayHistory: an operator whose sink has lost what a relay of the earlier version has
// delivered gets it again, by time and by ID, and as often as they want.
func TestReplayHistory(t *testing.T) {
	eachHistory(t, []string{"a", "b", "c"}, func(o *older, table string) {
		o.start(relay.Config{Lease: lasting / 4}) // it looks for what is replayed when it renews that
		o.commit("new")
		o.came("new")
		o.replays(relay.Selection{IDs: []uuid.UUID{o.ids["b"]}}, 1)
		o.came("new", "b")
		o.exec("UPDATE " + table + " SET recorded_at = '2026-01-01T00:00:00.000000Z' WHERE target_id = 'a'")
		day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		o.replays(relay.Selection{From: day, To: day.Add(time.Hour)}, 1)
		o.came("new", "b", "a")
		o.replays(relay.Selection{To: day}, 0)
		o.replays(relay.Selection{From: day}, 4)
		o.came("new", "b", "a", "a", "b", "c", "new")
		if got := o.entries()["c"]; got.ID != o.ids["c"] || got.Actor.Name != "Żółw" || got.Unreadable != "" {
			o.Errorf("replayed as %+v", got)
		}
		const later = "later/default" // the others have not lost anything, and a new one begins now
		o.must(o.store.Register(ctx, o.db, later))
		if n := o.behind(later); n != 0 {
			o.Errorf("a forwarder is %d behind by what another one replays", n)
		}
		n, err := o.store.Replay(ctx, o.db, relay.Selection{Forwarder: later, From: day}, false)
		if err != nil || n != 4 {
			o.Errorf("%d, %v are replayed to a new forwarder, want 4", n, err)
		}
	})
}

// TestReplayMuchHistory: batch by batch.
func TestReplayMuchHistory(t *testing.T) {
	eachOlder(t, func(o *older) {
		names := make([]string, 2*relay.DefaultBatch+1)
		for i := range names {
			names[i] = uuid.NewString()
		}
		o.write(names...)
		o.passed(name)
		o.replays(relay.Selection{From: time.Unix(0, 0)}, int64(len(names)))
	})
}

// TestReplayLeavesWhatIsTakenOver: what the forwarder has yet to get from the old table comes
// once, though it is of the time that is replayed.
func TestReplayLeavesWhatIsTakenOver(t *testing.T) {
	eachOlder(t, func(o *older) {
		o.write("delivered")
		o.passed(name)
		o.write("pending")
		if n := o.behind(name); n != 1 {
			o.Errorf("it is %d behind, want what is in the old table", n)
		}
		o.replays(relay.Selection{From: time.Unix(0, 0)}, 1)
		o.start(relay.Config{})
		o.came("delivered", "pending")
		if n := o.behind(name); n != 0 {
			o.Errorf("it is %d behind", n)
		}
	})
}

// TestPurgeHistory: what all have got goes, also from the table of the earlier version, and it
// is written down there. What one has yet to get stays, and what it has discarded.
func TestPurgeHistory(t *testing.T) {
	eachHistory(t, []string{"a", "b"}, func(o *older, table string) {
		const slow = "slow/default"
		o.register(slow)
		if o.e.Dialect == hooks.Postgres {
			o.exec("UPDATE " + o.own("forwarders") + " SET done = '3:3:' WHERE name = '" + slow + "'")
		}
		if p := o.purge(1); p.Events != 0 || p.Kept != 2 || o.kept(table) != "a b" {
			o.Errorf("%+v, though a forwarder has not got it; %q is left", p, o.kept(table))
		}
		o.exec("UPDATE " + o.own("forwarders") + " SET retired_at = '2026-01-01' WHERE name = '" + slow + "'")
		o.fail(name, "a", "discarded", 5, time.Now())
		if p := o.purge(1); p.Events != 1 || p.Kept != 1 || o.kept(table) != "a" {
			o.Errorf("%+v, though one is discarded; %q is left", p, o.kept(table))
		}
		o.exec("DELETE FROM " + o.own("failures"))
		o.exec("UPDATE " + o.own("forwarders") + " SET place = 'elsewhere' WHERE name = '" + name + "'")
		if strings.HasSuffix(table, "_before") {
			// All had been delivered when it got this name, and no decision is left to wait for.
			if p := o.purge(1); p.Events != 1 || p.Kept != 0 || o.kept(table) != "" {
				o.Errorf("%+v in a copy, and %q is left", p, o.kept(table))
			}
		} else {
			if p := o.purge(1); p.Events != 0 || p.Kept != 1 || o.kept(table) != "a" {
				o.Errorf("%+v, though the cursor is of another database; %q is left", p, o.kept(table))
			}
			o.exec("DELETE FROM " + o.own("forwarders"))
			if p := o.purge(1); p.Events != 1 || p.Kept != 0 || o.kept(table) != "" {
				o.Errorf("%+v, and %q is left", p, o.kept(table))
			}
		}
		var n int
		var by string
		o.must(o.db.QueryRowContext(ctx, "SELECT sum(events), min(purged_by) FROM "+o.own("purges")).Scan(&n, &by))
		if n != 2 || by != "o'brien" {
			o.Errorf("%d written down, by %q", n, by)
		}
	})
}

// TestReplayOfWhatIsNotThere: a position that the journal does not have is an error, and nothing
// is replayed.
func TestReplayOfWhatIsNotThere(t *testing.T) {
	each(t, func(w *world) {
		r := w.start(relay.Config{})
		w.commit("a")
		w.drain(r)
		there := w.entries()["a"].Position
		for _, p := range []journal.Position{{Key: there.Key, Ordinal: 1}, {Key: key()}} {
			for _, dry := range []bool{true, false} {
				n, err := w.store.Replay(ctx, w.db, relay.Selection{Forwarder: name, Positions: []journal.Position{there, p}}, dry)
				if n != 0 || err == nil || !strings.Contains(err.Error(), "no entry at position "+p.Text()) {
					t.Errorf("%s: %d, %v", p.Text(), n, err)
				}
			}
		}
		below := journal.Position{Key: there.Key, Ordinal: -1}
		if n, err := w.store.Replay(ctx, w.db, relay.Selection{Forwarder: name, Positions: []journal.Position{there, below}}, false); n != 0 || err == nil {
			t.Errorf("%d, %v for a position with a negative ordinal", n, err)
		}
		if n := w.replay(relay.Selection{Positions: []journal.Position{there}}); n != 1 {
			t.Errorf("%d are replayed, want 1", n)
		}
	})
}

// TestRetryOfWhatIsNotThere: one with an ordinal that no row has is a dead letter, and the worker
// goes on.
func TestRetryOfWhatIsNotThere(t *testing.T) {
	each(t, func(w *world) {
		r := w.start(relay.Config{})
		w.commit("a")
		w.drain(r)
		w.must(r.Stop(ctx))
		w.replay(relay.Selection{Positions: []journal.Position{w.entries()["a"].Position}})
		w.exec("UPDATE " + w.own("retries") + " SET ordinal = -1")
		r = w.start(relay.Config{})
		w.commit("b")
		w.drain(r)
		if got := w.sink.all(); got != "a b" {
			t.Errorf("delivered %s, want each once", got)
		}
		w.until("it is a dead letter", func() bool { return len(w.failures(true)) == 1 })
		if f := w.failures(true)[0]; f.Reason != relay.ReasonGone {
			t.Errorf("%+v, want it to be gone", f)
		}
	})
}
