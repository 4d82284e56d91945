package delivery_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestStatusOfARelay: the process that relays reports how delivery stands, on each
// database, also over a pool of one connection; an app beside it says where to ask.
func TestStatusOfARelay(t *testing.T) {
	each(t, func(w *world) {
		w.sink.set(true)
		a := w.start(forward.Options{Relay: forward.RelayElsewhere}, nil)
		a.place(1, 2)
		a.notAsked("process with Hub.Relay")
		hub := forward.New(&forward.Options{Logger: zap.NewNop(), Timeout: dbtest.Patience})
		hub.Register(w.sink, forward.Auto)
		c, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		db := dbtest.Open(w.T, w.e.Driver, w.dsn)
		db.SetMaxOpenConns(1)
		go func() { done <- hub.Relay(c, db, w.e.Dialect) }()
		behind := func() (n int64) {
			for _, d := range hub.Status(ctx).Databases {
				if d.Err != nil || d.Driver != "relay" || d.Journal != 2 || len(d.Forwarders) != 1 {
					w.Fatalf("status %+v", d)
				}
				n += d.Forwarders[0].Behind + d.Forwarders[0].Retrying + 1
			}
			return n
		}
		w.until("the relay is listed", func() bool { return behind() == 3 })
		w.sink.set(false)
		stop()
		w.must(<-done)
		if st := hub.Status(ctx); len(st.Databases) != 0 {
			t.Errorf("a relay that has ended is listed: %+v", st.Databases)
		}
	}, dbtest.Engines()...)
}

// notAsked fails unless the app's database is listed as one that is not asked.
func (a *app) notAsked(why string) {
	a.Helper()
	all := a.hub.Status(ctx).Databases
	if len(all) != 1 || all[0].Driver != a.name || !errors.Is(all[0].Err, forward.ErrNotAsked) || !strings.Contains(all[0].Err.Error(), why) {
		a.Errorf("status %+v, want one database that is not asked (%s)", all, why)
	}
}

// TestStatusWithoutARelay: Status says of each open database why it does not ask it.
func TestStatusWithoutARelay(t *testing.T) {
	async := func(h *forward.Hub) { h.Register(&sink{}, forward.Auto) }
	for name, c := range map[string]struct {
		e        dbtest.Engine
		o        forward.Options
		register func(*forward.Hub)
		why      string
	}{
		"no journal":   {dbtest.PQ, forward.Options{NoJournal: true}, async, "no journal"},
		"off":          {dbtest.PQ, forward.Options{Relay: forward.RelayOff}, async, "no relay runs"},
		"elsewhere":    {dbtest.SQLite, forward.Options{Relay: forward.RelayElsewhere}, async, "Hub.Relay"},
		"sqlite":       {dbtest.SQLite, forward.Options{}, async, "relay.Store.States over the app's *sql.DB"},
		"no forwarder": {dbtest.PGX, forward.Options{}, func(*forward.Hub) {}, "no forwarder"},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(w *world) {
				a := w.start(c.o, c.register)
				a.notAsked(c.why)
				a.place(1)
				a.notAsked(c.why)
				w.must(a.db.Close())
				if st := a.hub.Status(ctx); len(st.Databases) != 0 {
					t.Errorf("a closed database is listed: %+v", st.Databases)
				}
			}, c.e)
		})
	}
}

// TestStatesOverTheAppsConnection: on SQLite that answers what Status does not ask.
func TestStatesOverTheAppsConnection(t *testing.T) {
	each(t, func(w *world) {
		w.sink.set(true)
		a := w.start(forward.Options{}, nil)
		a.place(1)
		store, err := relay.New(w.e.Dialect, nil)
		w.must(err)
		states, err := store.States(ctx, a.db)
		w.must(err)
		if len(states) != 1 || states[0].Behind != 1 {
			t.Errorf("states %+v, want one that is behind by 1", states)
		}
	}, dbtest.SQLite)
}
