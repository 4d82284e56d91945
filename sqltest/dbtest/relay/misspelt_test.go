package relay_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestMisspelt: each call for a forwarder refuses a name that was never registered, and
// says of a retired one what it is.
func TestMisspelt(t *testing.T) {
	each(t, func(w *world) {
		calls := func(forwarder string) map[string]error {
			_, failures := w.store.Failures(ctx, w.db, forwarder, true, 0)
			_, dismiss := w.store.Dismiss(ctx, w.db, forwarder)
			_, replay := w.store.Replay(ctx, w.db, relay.Selection{Forwarder: forwarder, Discarded: true}, false)
			_, resume := w.store.Resume(ctx, w.db, forwarder, true)
			return map[string]error{
				"Failures": failures, "Dismiss": dismiss, "Replay": replay, "Resume": resume,
				"Retire": w.store.Retire(ctx, w.db, forwarder),
			}
		}
		for call, err := range calls("snk/default") {
			if !errors.Is(err, relay.ErrNotRegistered) || !strings.Contains(err.Error(), "States") {
				w.Errorf("%s of a name that is misspelt: %v, want ErrNotRegistered, and where the names are", call, err)
			}
		}
		w.must(w.store.Retire(ctx, w.db, name))
		for call, err := range calls(name) {
			if call == "Failures" || call == "Dismiss" {
				w.must(err)
			} else if !errors.Is(err, relay.ErrNotRegistered) || !strings.Contains(err.Error(), "was retired") {
				w.Errorf("%s of a retired forwarder: %v, want it to say that it is retired", call, err)
			}
		}
	})
}

// TestDiscardedHasNoNext: what is discarded has no time of a next attempt, and the notice
// of what is tried again has.
func TestDiscardedHasNoNext(t *testing.T) {
	each(t, func(w *world) {
		w.sink.refuse = func(name string) error {
			switch name {
			case "never":
				return permanent{errTransient}
			case "later":
				return errTransient
			}
			return nil
		}
		r := w.start(relay.Config{Batch: 1})
		for _, n := range []string{"a", "never", "later", "b"} {
			w.commit(n)
		}
		w.drain(r)
		if f := w.failures(true); len(f) != 1 || !f[0].NextAt.IsZero() {
			w.Errorf("discarded %+v, want no next attempt", f)
		}
		retrying := w.failures(false)
		if len(retrying) != 1 || retrying[0].NextAt.IsZero() {
			w.Fatalf("retrying %+v, want one with a next attempt", retrying)
		}
		next := map[uuid.UUID]bool{}
		w.sink.set(func(s *sink) {
			for _, n := range s.notices {
				if n.Kind == hooks.NoticeFailed {
					next[n.Events[0]] = !n.NextAt.IsZero()
				}
			}
		})
		if e := w.entries(); next[e["never"].ID] || !next[e["later"].ID] {
			w.Errorf("next attempts %v, want one of later only", next)
		}
	})
}

// TestRetiredIsSaid: a program that has a retired forwarder warns once.
func TestRetiredIsSaid(t *testing.T) {
	each(t, func(w *world) {
		core, logs := observer.New(zap.WarnLevel)
		r := relay.Start(w.store, w.db, relay.Config{Targets: []relay.Target{w.target()}, Lease: brisk, Clock: w.clock, Log: zap.New(core)})
		w.Cleanup(func() { w.must(r.Stop(ctx)) })
		w.commit("a")
		w.drain(r)
		w.must(w.store.Retire(ctx, w.db, name))
		said := func() int { return logs.FilterMessageSnippet("was retired").Len() }
		w.until("the program says so", func() bool { return said() > 0 })
		w.ticks(20)
		if n := said(); n != 1 {
			w.Errorf("it is said %d times", n)
		}
	})
}

// TestNotThisDatabase: an error for a database of another dialect, or without a journal,
// says what to give relay.New.
func TestNotThisDatabase(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		db := dbtest.Open(t, e.Driver, e.DSN(t))
		for _, d := range []hooks.Dialect{hooks.Postgres, hooks.SQLite} {
			store, err := relay.New(d, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, states := store.States(ctx, db)
			_, failures := store.Failures(ctx, db, "", true, 0)
			for call, err := range map[string]error{"States": states, "Failures": failures} {
				want := "give relay.New the dialect"
				if d == hooks.Postgres && e.Dialect == d {
					want = "journal.Schema"
				}
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s for %v: %v, want an error with %q", call, d, err, want)
				}
			}
		}
	})
}
