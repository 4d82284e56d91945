package delivery_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

const name = "delivery_test.sink/default"

// TestAutoIsAsyncWithARelay, and each step is told once for each event.
func TestAutoIsAsyncWithARelay(t *testing.T) {
	each(t, func(w *world) {
		a := w.start(forward.Options{}, nil)
		a.place(1, 2, 3)
		a.drain()
		w.want("1 2 3")
		if got := a.started(); got != "["+name+" (async)]" {
			t.Errorf("the start line has %s", got)
		}
		w.until("delivery is told", func() bool { return w.sink.told(hooks.NoticeDelivered, "async") == 3 })
		if n := w.sink.told(hooks.NoticeEnqueued, "async"); n != 3 {
			t.Errorf("enqueued was told of %d events, want 3", n)
		}
		if n := w.sink.told(hooks.NoticeLogged, ""); n != 3 {
			t.Errorf("logged was told of %d events, want 3", n)
		}
	})
}

// TestProcessDies between the commit and the forwarding: the next one delivers.
func TestProcessDies(t *testing.T) {
	each(t, func(w *world) {
		w.sink.set(true)
		a := w.start(forward.Options{}, nil)
		a.place(1, 2)
		w.must(a.db.Close()) // and its relay, which has delivered nothing
		a.place3AfterClose(t)
		w.sink.set(false)
		b := w.start(forward.Options{}, nil)
		b.place(3)
		w.until("all are delivered", func() bool { return len(strings.Fields(w.sink.orders())) >= 3 })
		b.drain()
		for _, id := range []string{"1", "2", "3"} {
			if strings.Count(w.sink.orders(), id) != 1 {
				t.Errorf("the sink has %s, want 1, 2 and 3 once each", w.sink.orders())
			}
		}
	})
}

// place3AfterClose checks that a closed database is one.
func (a *app) place3AfterClose(t *testing.T) {
	t.Helper()
	if err := a.db.PingContext(ctx); err == nil {
		t.Error("the database is still open")
	}
}

// TestTwoProcesses: each event is delivered once, by one of them.
func TestTwoProcesses(t *testing.T) {
	each(t, func(w *world) {
		a, b := w.start(forward.Options{}, nil), w.start(forward.Options{}, nil)
		for id := range 20 {
			if id%2 == 0 {
				a.place(id)
			} else {
				b.place(id)
			}
		}
		a.drain()
		b.drain()
		if got := strings.Fields(w.sink.orders()); len(got) != 20 {
			t.Errorf("%d deliveries of 20 events: %v", len(got), got)
		}
	})
}

// TestOpenedTwice: an app that opens a database twice has two relays, which share
// the work; and one that closes it goes on with the other.
func TestOpenedTwice(t *testing.T) {
	each(t, func(w *world) {
		a := w.start(forward.Options{}, nil)
		second := &app{world: w, hub: a.hub, name: a.name, db: dbtest.Open(w.T, a.name, w.dsn)}
		w.must(second.db.PingContext(ctx))
		for id := range 10 {
			a.place(2 * id)
			second.place(2*id + 1)
		}
		a.drain()
		w.must(a.db.Close())
		second.place(20)
		second.drain()
		if got := strings.Fields(w.sink.orders()); len(got) != 21 {
			t.Errorf("%d deliveries of 21 events: %v", len(got), got)
		}
	})
}

// TestRelayTakesWhatSyncMissed, once, and not what it has taken.
func TestRelayTakesWhatSyncMissed(t *testing.T) {
	each(t, func(w *world) {
		a := w.start(forward.Options{Grace: 3 * time.Second}, func(h *forward.Hub) { h.Register(w.sink, forward.Sync) })
		a.place(1)
		w.want("1")
		w.sink.set(true)
		a.place(2)
		w.sink.set(false)
		a.place(3)
		w.want("1 3")
		w.until("the relay delivers it", func() bool { return w.sink.orders() == "1 3 2" })
		a.drain()
		w.want("1 3 2")
		if got := a.started(); got != "["+name+" (sync)]" {
			t.Errorf("the start line has %s", got)
		}
	})
}

// choosy is a sink that refuses one order for good.
type choosy struct {
	*sink
	calls atomic.Int64 // with that order
}

func (c *choosy) Forward(ctx context.Context, entries []journal.Entry) error {
	for _, e := range entries {
		if e.Target.ID == "2" {
			c.calls.Add(1)
			return forward.Permanent("unfit", errAway)
		}
	}
	return c.sink.Forward(ctx, entries)
}

// TestRefusedForGoodWithinCommit: what a sync forwarder has refused for good is
// discarded, kept and replayed as what the relay was refused, and not tried by it.
func TestRefusedForGoodWithinCommit(t *testing.T) {
	each(t, func(w *world) {
		c := &choosy{sink: w.sink}
		a := w.start(forward.Options{Grace: 2 * time.Second}, func(h *forward.Hub) { h.Register(c, forward.Sync) })
		a.place(1, 2)
		w.sink.set(true)
		a.place(3) // which the relay delivers, and passes 2 on the way
		w.sink.set(false)
		if w.e.Dialect == hooks.SQLite {
			w.must(a.db.Close())
			w.must(w.bare.ExecContext(ctx, "UPDATE aftercommit_journal SET recorded_at = '2020' || substr(recorded_at, 5)"))
			a = w.start(forward.Options{}, func(h *forward.Hub) { h.Register(c, forward.Sync) })
			a.place(4)
			w.want("1 4 3")
		} else {
			w.until("the relay delivers what was missed", func() bool { return w.sink.orders() == "1 3" })
			a.drain()
		}
		if n := c.calls.Load(); n != 1 {
			t.Errorf("it was called %d times with what it refuses", n)
		}
		if d, async := w.sink.told(hooks.NoticeDiscarded, "sync"), w.sink.told(hooks.NoticeDelivered, "async"); d != 1 || async != 0 {
			t.Errorf("%d were reported as discarded, and %d as delivered by an async forwarder", d, async)
		}
		s, err := relay.New(w.e.Dialect, nil)
		w.must(err)
		all, err := s.States(ctx, w.bare)
		w.must(err)
		if len(all) != 1 || all[0].Discarded != 1 {
			t.Fatalf("the relay's state is %+v", all)
		}
		n, err := s.Replay(ctx, w.bare, relay.Selection{Forwarder: all[0].Forwarder, Reason: "unfit"}, true)
		if w.must(err); n != 1 {
			t.Errorf("%d would be replayed", n)
		}
	}, dbtest.PQ, dbtest.PGX, dbtest.SQLite)
}

// TestCommittingConnectionCatchesUp: on SQLite there is no relay beside the app;
// what a sink has missed comes with a later commit, also in another process, and
// once.
func TestCommittingConnectionCatchesUp(t *testing.T) {
	each(t, func(w *world) {
		age := func() {
			w.must(w.bare.ExecContext(ctx, "UPDATE aftercommit_journal SET recorded_at = '2020' || substr(recorded_at, 5)"))
		}
		a := w.start(forward.Options{}, nil)
		if got := a.started(); got != "["+name+" (sync)]" {
			t.Errorf("the start line has %s", got)
		}
		a.place(1)
		w.sink.set(true)
		a.place(2)
		w.must(a.db.Close())
		age()
		w.sink.set(false)
		b := w.start(forward.Options{}, nil)
		b.place(3)
		w.want("1 3 2")
		w.must(b.db.Close())
		age()
		c := w.start(forward.Options{}, nil)
		c.place(4)
		w.want("1 3 2 4")
	}, dbtest.SQLite)
}

// later is a sink whose tables are not there at first.
type later struct {
	*sink
	ready bool
}

func (l *later) Attach(context.Context, *sql.DB) error {
	if l.ready {
		return nil
	}
	return forward.Permanent("schema_mismatch", errors.New("no tables"))
}

// TestAttachedLater: a sink that cannot be attached is left out with one
// warning, and catches up once it can.
func TestAttachedLater(t *testing.T) {
	each(t, func(w *world) {
		l := &later{sink: w.sink}
		register := func(h *forward.Hub) { h.Register(l, forward.Auto) }
		a := w.start(forward.Options{}, register)
		a.place(1, 2)
		if got := a.warnings(); strings.Count(got, "left out") != 1 {
			t.Errorf("warnings: %s", got)
		}
		w.must(a.db.Close())
		w.want("")
		l.ready = true
		b := w.start(forward.Options{}, register)
		b.place(3)
		b.drain()
		w.want("1 2 3")
	})
}

// TestRelayElsewhere: the app only writes; another process delivers. On SQLite
// that is the only relay.
func TestRelayElsewhere(t *testing.T) {
	each(t, func(w *world) {
		async := func(h *forward.Hub) { h.Register(w.sink, forward.Async) }
		a := w.start(forward.Options{Relay: forward.RelayElsewhere}, async)
		a.place(1, 2)
		w.want("")
		c, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		hub := forward.New(&forward.Options{Observer: w.sink})
		async(hub)
		go func() { done <- hub.Relay(c, w.bare, w.e.Dialect) }()
		w.until("it is delivered", func() bool { return w.sink.orders() == "1 2" })
		a.place(3)
		w.until("it is delivered", func() bool { return w.sink.orders() == "1 2 3" })
		stop()
		w.must(<-done)
	}, dbtest.PQ, dbtest.PGX, dbtest.SQLite)
}

// TestPreparedElsewhere: a prepared transaction is committed when the process
// that made it is gone.
func TestPreparedElsewhere(t *testing.T) {
	each(t, func(w *world) {
		a := w.start(forward.Options{}, nil)
		conn, err := a.db.Conn(ctx)
		w.must(err)
		for _, query := range []string{"BEGIN", "INSERT INTO orders (id) VALUES (1)"} {
			w.must(conn.ExecContext(ctx, query))
		}
		w.must(hooks.Record(ctx, conn, hooks.Event{Action: "order.placed", Target: hooks.Target{Type: "order", ID: "1"}}))
		w.must(conn.ExecContext(ctx, "PREPARE TRANSACTION 'order 1'"))
		w.must(conn.Close())
		a.place(2)
		a.drain()
		w.want("2")
		w.must(a.db.Close())
		w.must(w.bare.ExecContext(ctx, "COMMIT PREPARED 'order 1'"))
		b := w.start(forward.Options{}, nil)
		b.drain()
		w.want("2 1")
	})
}

// TestStatus tells how far behind a sink is.
func TestStatus(t *testing.T) {
	each(t, func(w *world) {
		w.sink.set(true)
		a := w.start(forward.Options{}, nil)
		a.place(1, 2)
		w.until("it has failed", func() bool {
			return w.sink.told(hooks.NoticeSuspended, "async")+w.sink.told(hooks.NoticeFailed, "async") > 0
		})
		st := a.hub.Status(ctx)
		if len(st.Databases) != 1 || st.Databases[0].Err != nil || len(st.Databases[0].Forwarders) != 1 {
			t.Fatalf("status %+v", st)
		}
		d := st.Databases[0]
		if f := d.Forwarders[0]; d.Journal != 2 || f.Forwarder != name || f.Behind+f.Retrying != 2 || f.Holder == "" || d.Mode != hooks.Strict {
			t.Errorf("database %+v, want 2 entries, none of which %s has", d, name)
		}
		w.must(a.db.Close())
		if st := a.hub.Status(ctx); len(st.Databases) != 0 {
			t.Errorf("a closed database is listed: %+v", st.Databases)
		}
	})
}
