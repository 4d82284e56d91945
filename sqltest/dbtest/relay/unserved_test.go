package relay_test

import (
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// seen returns a process's heartbeats so far, by the time of the last.
func (w *world) seen(holder string) (at string) {
	w.Helper()
	w.must(w.db.QueryRowContext(ctx, "SELECT coalesce(max(seen_at)::text, '') FROM "+w.own("workers")+" WHERE name = '"+holder+"'").Scan(&at))
	return at
}

// beats waits until a process has sent two heartbeats, so that one is from now on.
func (w *world) beats(holder string) {
	w.Helper()
	for range 2 {
		before := w.seen(holder)
		w.until("a heartbeat of "+holder, func() bool { return w.seen(holder) > before })
	}
}

// TestUnserved: a forwarder that no running process has is reported, once, after a minute;
// not one that another process has, or that is retired.
func TestUnserved(t *testing.T) {
	for _, e := range dbtest.PostgresEngines() {
		t.Run(e.Name, func(t *testing.T) { unservedAt(newWorld(t, e)) })
	}
}

// TestUnservedInLatin1: names that the server stores in another form are found.
func TestUnservedInLatin1(t *testing.T) {
	unservedAt(worldAt(t, dbtest.PGX, dbtest.Shared(t).Encoded(t, "LATIN1"), nil))
}

func unservedAt(w *world) {
	const other, lost, retired = "łódź/default", "lost/default", "retired/default"
	for _, n := range []string{other, lost, retired} {
		w.must(w.store.Register(ctx, w.db, n))
	}
	w.must(w.store.Retire(ctx, w.db, retired))
	core, logs := observer.New(zap.WarnLevel)
	said := func() (names []string) {
		for _, l := range logs.FilterMessageSnippet("no running process").All() {
			names = append(names, l.ContextMap()["forwarder"].(string))
		}
		return names
	}
	cfg := relay.Config{Targets: []relay.Target{w.target()}, Lease: offering, Clock: w.clock, Log: zap.New(core), Holder: "first"}
	w.beside("other", other)
	w.beats("other")
	r := relay.Start(w.store, w.db, cfg)
	w.Cleanup(func() { w.must(r.Stop(ctx)) })
	w.beats("first")
	if names := said(); len(names) > 0 {
		w.Fatalf("%q are reported at once", names)
	}
	w.until("it is reported", func() bool {
		w.clock.pass(time.Minute)
		w.beats("first")
		return len(said()) > 0
	})
	for range 3 {
		w.clock.pass(time.Minute)
		w.beats("first")
	}
	if names := said(); len(names) != 1 || names[0] != lost {
		w.Errorf("%q are reported, want %s once", names, lost)
	}
}
