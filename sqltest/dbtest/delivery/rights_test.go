package delivery_test

import (
	"context"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// asWriter makes the journal, and returns the DSN and the name of a role with the
// grants that README lists.
func (w *world) asWriter() (dsn, role string) {
	w.Helper()
	schema, err := journal.Schema(hooks.Postgres, nil)
	w.must(err)
	role = dbtest.Name("app")
	for _, query := range []string{
		"BEGIN; " + schema + " COMMIT", `CREATE ROLE "` + role + `" LOGIN`, `GRANT INSERT ON orders TO "` + role + `"`,
		`GRANT USAGE ON SCHEMA aftercommit TO "` + role + `"`, `GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA aftercommit TO "` + role + `"`,
	} {
		w.must(w.bare.ExecContext(ctx, query))
	}
	w.Cleanup(func() { w.must(w.bare.ExecContext(ctx, `DROP OWNED BY "`+role+`"; DROP ROLE "`+role+`"`)) })
	return w.dsn + " user=" + role, role
}

// relayAlone runs a relay of the owner until stop.
func (w *world) relayAlone(log *zap.Logger) (stop func()) {
	w.Helper()
	c, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	hub := forward.New(&forward.Options{Logger: log, Observer: w.sink})
	hub.Register(w.sink, forward.Auto)
	go func() { done <- hub.Relay(c, w.bare, w.e.Dialect) }()
	return func() {
		w.Helper()
		cancel()
		w.must(<-done)
	}
}

// TestRoleWithoutRights: an app that may only write to the journal forwards
// within Commit, and says why, and what is not tried again; Async says what to do.
func TestRoleWithoutRights(t *testing.T) {
	each(t, func(w *world) {
		dsn, _ := w.asWriter()
		a, err := w.try(dsn, forward.Options{}, nil)
		w.must(err)
		a.place(1)
		w.want("1")
		a.notAsked("no relay runs")
		got := a.warnings()
		for _, part := range []string{"may not use the relay's tables", "not tried again", "Hub.Relay", "RelayElsewhere"} {
			if !strings.Contains(got, part) {
				t.Errorf("warnings without %q: %s", part, got)
			}
		}
		w.sink.set(true)
		a.place(2)
		if n := a.hub.Status(ctx).Discarded; n != 1 || w.sink.told(hooks.NoticeDiscarded, "sync") != 1 {
			t.Errorf("%d discarded, want 1: no one delivers it again", n)
		}
		if got := a.warnings(); !strings.Contains(got, "Store.Replay") {
			t.Errorf("warnings: %s", got)
		}
		var cursors int
		w.must(w.bare.QueryRowContext(ctx, "SELECT count(*) FROM aftercommit.cursors").Scan(&cursors))
		if cursors != 0 {
			t.Errorf("%d cursors that no relay moves", cursors)
		}
		_, err = w.try(dsn, forward.Options{}, func(h *forward.Hub) { h.Register(w.sink, forward.Async) })
		if err == nil || !strings.Contains(err.Error(), "grant SELECT on journal") {
			t.Errorf("Async: %v", err)
		}
		w.must(a.db.Close())
	})
}

// TestWriterWithRelayElsewhere: the relay of the owner gets all that such an app
// has committed, also before it was started.
func TestWriterWithRelayElsewhere(t *testing.T) {
	each(t, func(w *world) {
		dsn, role := w.asWriter()
		w.must(w.bare.ExecContext(ctx, `REVOKE EXECUTE ON FUNCTION aftercommit.enlist(text, text) FROM "`+role+`"`))
		elsewhere := forward.Options{Relay: forward.RelayElsewhere}
		if _, err := w.try(dsn, elsewhere, nil); err == nil || !strings.Contains(err.Error(), "GRANT EXECUTE ON ALL FUNCTIONS") {
			t.Errorf("without the function: %v", err)
		}
		w.must(w.bare.ExecContext(ctx, `GRANT EXECUTE ON FUNCTION aftercommit.enlist(text, text) TO "`+role+`"`))
		standby, err := w.try(dsn+" options='-c default_transaction_read_only=on'", elsewhere, nil)
		w.must(err) // a later connection may be to the primary
		w.must(standby.db.Close())
		for i, register := range []func(*forward.Hub){nil, func(h *forward.Hub) { h.Register(w.sink, forward.Async) }} {
			a, failed := w.try(dsn, elsewhere, register)
			w.must(failed)
			if got := a.started(); !strings.Contains(got, "(async)") {
				t.Errorf("started: %s", got)
			}
			a.place(i + 1)
			w.must(a.db.Close())
		}
		w.want("")
		stop := w.relayAlone(nil)
		w.until("it is delivered", func() bool { return w.sink.orders() == "1 2" })
		stop()
		// A cursor that is there is not moved by the app.
		a, err := w.try(dsn, elsewhere, nil)
		w.must(err)
		a.place(3)
		w.must(a.db.Close())
		again, err := w.try(dsn, elsewhere, nil)
		w.must(err)
		w.must(again.db.Close())
		stop = w.relayAlone(nil)
		w.until("it is delivered", func() bool { return w.sink.orders() == "1 2 3" })
		stop()
		// One that was retired starts again, with what this app commits.
		store, err := relay.New(hooks.Postgres, nil)
		w.must(err)
		states, err := store.States(ctx, w.bare)
		w.must(err)
		w.must(store.Retire(ctx, w.bare, states[0].Forwarder))
		a, err = w.try(dsn, elsewhere, nil)
		w.must(err)
		a.place(4)
		w.must(a.db.Close())
		defer w.relayAlone(nil)()
		w.until("it is delivered", func() bool { return w.sink.orders() == "1 2 3 4" })
	})
}

// TestRelaySaysWhereItStarts: what was committed before a forwarder was registered
// is not delivered, and the log says how to have it.
func TestRelaySaysWhereItStarts(t *testing.T) {
	each(t, func(w *world) {
		a := w.start(forward.Options{Relay: forward.RelayOff}, nil)
		w.sink.set(true)
		a.place(1)
		w.sink.set(false)
		w.must(a.db.Close())
		const says = "what is committed from now on"
		core, logs := observer.New(zap.InfoLevel)
		stop := w.relayAlone(zap.New(core))
		w.until("it says so", func() bool { return logs.FilterMessageSnippet(says).Len() == 1 })
		store, err := relay.New(hooks.Postgres, nil)
		w.must(err)
		states, err := store.States(ctx, w.bare)
		w.must(err)
		n, err := store.Replay(ctx, w.bare, relay.Selection{Forwarder: states[0].Forwarder, From: states[0].RegisteredAt.AddDate(0, 0, -1)}, false)
		w.must(err)
		if n != 1 {
			t.Errorf("%d entries are replayed", n)
		}
		w.until("it is delivered", func() bool { return w.sink.orders() == "1" })
		stop()
		core, logs = observer.New(zap.InfoLevel)
		b := w.start(forward.Options{Relay: forward.RelayElsewhere}, nil)
		b.place(2)
		w.must(b.db.Close())
		stop = w.relayAlone(zap.New(core))
		w.until("it is delivered", func() bool { return w.sink.orders() == "1 2" })
		stop()
		if logs.FilterMessageSnippet(says).Len() != 0 {
			t.Error("it says so again")
		}
	})
}
