package delivery_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// backend returns the process of the server that serves the app's one connection.
func (a *app) backend() (pid int) {
	a.Helper()
	a.must(a.db.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&pid))
	return pid
}

// starts counts the start lines.
func (a *app) starts() int { return a.logs.FilterMessage("aftercommit: started").Len() }

// waits counts the lines which say that delivery waits.
func (a *app) waits() int { return a.logs.FilterMessageSnippet("delivery waits").Len() }

// limited makes a role that may have n connections and makes its own journal.
func (w *world) limited(n string) (role string) {
	w.Helper()
	role = dbtest.Name("app")
	for _, query := range []string{
		`CREATE ROLE "` + role + `" LOGIN CONNECTION LIMIT ` + n, `GRANT ALL ON orders TO "` + role + `"`,
		`DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO "` + role + `"', current_database()); END $$`,
	} {
		w.must(w.bare.ExecContext(ctx, query))
	}
	return role
}

// TestPromotedUnderThePool: an app that has started on a standby, and keeps its
// connection when that is promoted, has what it commits from then on delivered, also
// what is committed before a connection beside it can be had. Nothing says before
// that a queue has it.
func TestPromotedUnderThePool(t *testing.T) {
	for _, e := range dbtest.PostgresEngines() {
		t.Run(e.Name, func(t *testing.T) {
			c := dbtest.Start(t, nil)
			t.Cleanup(func() { c.Stop(t) }) // a standby drops no database
			admin := dbtest.Open(t, "postgres", c.DSN("postgres"))
			var all []*promoted
			for _, mode := range []forward.RelayMode{forward.RelayInProcess, forward.RelayElsewhere} {
				for _, has := range []bool{true, false} {
					all = append(all, newPromoted(t, e, c.Database(t), mode, has))
				}
			}
			if _, err := admin.ExecContext(ctx, "COPY (SELECT '') TO PROGRAM 'cat > standby.signal'"); err != nil {
				t.Fatal(err)
			}
			c.Stop(t)
			c.Restart(t)
			for _, p := range all {
				p.startOnStandby()
			}
			if _, err := admin.ExecContext(ctx, "SELECT pg_promote()"); err != nil {
				t.Fatal(err)
			}
			for _, p := range all {
				p.commitBefore()
				if _, err := admin.ExecContext(ctx, `ALTER ROLE "`+p.role+`" CONNECTION LIMIT -1`); err != nil {
					t.Fatal(err)
				}
				p.goesOn()
			}
		})
	}
}

// promoted is an app on a standby. Its role has one connection at first.
type promoted struct {
	*app
	role string
	mode forward.RelayMode
	has  bool // the journal, from before
	pid  int
}

func newPromoted(t *testing.T, e dbtest.Engine, dsn string, mode forward.RelayMode, has bool) *promoted {
	t.Helper()
	w := &world{T: t, e: e, dsn: dsn, bare: dbtest.Open(t, e.Driver, dsn), sink: &sink{}}
	w.must(w.bare.ExecContext(ctx, "CREATE TABLE orders (id integer PRIMARY KEY)"))
	p := &promoted{app: &app{world: w}, role: w.limited("1"), mode: mode, has: has}
	if has {
		a, err := w.try(dsn+" user="+p.role, forward.Options{Relay: forward.RelayOff}, nil)
		w.must(err)
		a.place(100)
		w.must(a.db.Close())
		w.sink = &sink{}
	}
	w.must(w.bare.Close())
	return p
}

func (p *promoted) startOnStandby() {
	p.Helper()
	a, err := p.try(p.dsn+" user="+p.role, forward.Options{Relay: p.mode, Grace: 100 * time.Millisecond}, func(h *forward.Hub) {
		h.Register(p.sink, forward.Auto)
		if p.mode == forward.RelayInProcess {
			h.Register(threadline.NewForwarder(nil), forward.Sync) // which makes its tables when it is attached
		}
	})
	p.must(err)
	a.db.SetMaxOpenConns(1)
	p.app, p.pid = a, a.backend()
	if p.starts() != 0 || p.waits() != 1 {
		p.Errorf("on the standby: %d start lines, %d that say it waits; want 0 and 1", p.starts(), p.waits())
	}
}

// commitBefore commits while there is no connection for a start.
func (p *promoted) commitBefore() {
	p.Helper()
	if !p.has {
		return // without tables nothing commits
	}
	p.place(1, 2)
	enqueued, waiting := p.sink.told(hooks.NoticeEnqueued, "async"), p.sink.told(hooks.NoticeWaiting, "async")
	if enqueued != 0 || waiting != 2 {
		p.Errorf("%d events are said to be enqueued, %d to wait; want 0 and 2", enqueued, waiting)
	}
}

func (p *promoted) goesOn() {
	p.Helper()
	want := "1 2 3"
	if !p.has {
		want = "3"
		p.until("the journal is made", func() bool { return p.tries() == nil })
	}
	p.place(3)
	p.drain()
	if p.mode == forward.RelayElsewhere {
		p.bare = dbtest.Open(p.T, p.e.Driver, p.dsn)
		stop := p.relayAlone(nil)
		p.until("it is delivered", func() bool { return strings.Contains(p.sink.orders(), "3") })
		stop()
	}
	if got := strings.TrimSpace(p.sink.orders()); got != want {
		p.Errorf("has journal %v, relay %d: the sink has [%s], want [%s]", p.has, p.mode, got, want)
	}
	before := p.sink.told(hooks.NoticeEnqueued, "async")
	p.place(4)
	if p.mode == forward.RelayInProcess {
		var n int
		p.must(p.db.QueryRowContext(ctx, "SELECT count(*) FROM threadline.audit_actions WHERE target_id = '4'").Scan(&n))
		if n != 1 {
			p.Error("the timeline was not attached")
		}
	}
	if n := p.sink.told(hooks.NoticeEnqueued, "async") - before; n != 1 || p.starts() != 1 {
		p.Errorf("once it has started %d events are enqueued, and %d start lines; want 1 and 1", n, p.starts())
	}
	if p.backend() != p.pid {
		p.Error("the app has another connection")
	}
	p.must(p.db.Close())
	p.must(p.hub.Close(ctx))
}

// tries commits a transaction with an event that no one looks for.
func (a *app) tries() error {
	a.Helper()
	tx, err := a.db.BeginTx(ctx, nil)
	a.must(err)
	a.must(hooks.Record(ctx, tx, hooks.Event{Action: "order.tried"}))
	return tx.Commit()
}

// late is a sink that cannot be attached at first.
type late struct {
	*sink
	ready atomic.Bool
	hangs chan struct{} // Attach waits for it
	tried atomic.Int32
}

// Attach fails until ready.
func (l *late) Attach(context.Context, *sql.DB) error {
	l.tried.Add(1)
	if l.hangs != nil && l.tried.Load() > 1 {
		<-l.hangs
	}
	if l.ready.Load() {
		return nil
	}
	return errAway
}

// patient starts an app of one connection, in best effort: it has its connection
// whatever is missing, and may never open another.
func (w *world) patient(dsn string, o forward.Options, register func(*forward.Hub)) *app {
	w.Helper()
	w.options = []driver.Option{driver.WithMode(hooks.BestEffort)}
	a, err := w.try(dsn, o, register)
	w.must(err)
	a.db.SetMaxOpenConns(1)
	if a.waits() != 1 || a.starts() != 0 {
		w.Errorf("%d lines say that delivery waits, %d that it has started; want 1 and 0", a.waits(), a.starts())
	}
	return a
}

// TestAttachedAgain: a sink that cannot be attached at first is tried again beside the app.
func TestAttachedAgain(t *testing.T) {
	each(t, func(w *world) {
		w.bare.SetMaxOpenConns(1)
		l := &late{sink: w.sink}
		a := w.patient(w.dsn, forward.Options{}, func(h *forward.Hub) { h.Register(l, forward.Auto) })
		pid := a.backend()
		a.place(1)
		if n, reason := w.sink.told(hooks.NoticeWaiting, "async"), w.sink.reasonOf(hooks.NoticeWaiting); n != 1 || reason != "attach" {
			t.Errorf("%d events wait for %q", n, reason)
		}
		if st := a.hub.Status(ctx); len(st.Databases) != 1 || !errors.Is(st.Databases[0].Waiting, errAway) {
			t.Errorf("status: %+v", st.Databases)
		}
		l.ready.Store(true)
		a.drain()
		if st := a.hub.Status(ctx); len(st.Databases) != 1 || st.Databases[0].Waiting != nil || len(st.Databases[0].Forwarders) != 1 {
			t.Errorf("status once it has started: %+v", st.Databases)
		}
		w.want("1")
		if a.starts() != 1 || a.backend() != pid || l.tried.Load() < 2 {
			t.Errorf("%d start lines, %d attempts", a.starts(), l.tried.Load())
		}
		w.must(a.db.Close())
		w.until("no connection is left", func() bool { return w.connections() == 0 })
	})
}

// losesOne places an order whose event cannot be written: it is lost, nothing says that it
// waits in the journal, and nothing has said that it would.
func (a *app) losesOne(id int) {
	a.Helper()
	a.place(id)
	if lost, waiting := a.sink.told(hooks.NoticeLost, ""), a.sink.told(hooks.NoticeWaiting, "async"); lost != 1 || waiting != 0 {
		a.Errorf("%d lost, %d waiting; want 1 and 0", lost, waiting)
	}
	if log := a.logs.FilterMessageSnippet("delivery waits").FilterMessageSnippet("what cannot be written is reported as lost"); log.Len() == 0 {
		a.Errorf("the log promises too much: %v", a.logs.FilterMessageSnippet("delivery waits").All())
	}
}

// TestTablesMadeLater: tables that others make are looked for again.
func TestTablesMadeLater(t *testing.T) {
	each(t, func(w *world) {
		a := w.patient(w.dsn, forward.Options{Journal: &journal.Options{NoMigrate: true}}, nil)
		a.losesOne(8)
		schema, err := journal.Schema(hooks.Postgres, nil)
		w.must(err)
		w.must(w.bare.ExecContext(ctx, "BEGIN; "+schema+"; COMMIT"))
		a.place(1)
		a.drain()
		w.want("1")
	})
}

// TestRightsGrantedLater: so are rights.
func TestRightsGrantedLater(t *testing.T) {
	each(t, func(w *world) {
		schema, err := journal.Schema(hooks.Postgres, nil)
		w.must(err)
		role := dbtest.Name("app")
		for _, query := range []string{"BEGIN; " + schema + "; COMMIT", `CREATE ROLE "` + role + `" LOGIN`, `GRANT INSERT ON orders TO "` + role + `"`} {
			w.must(w.bare.ExecContext(ctx, query))
		}
		w.Cleanup(func() { w.must(w.bare.ExecContext(ctx, `DROP OWNED BY "`+role+`"; DROP ROLE "`+role+`"`)) })
		a := w.patient(w.dsn+" user="+role, forward.Options{}, func(h *forward.Hub) { h.Register(w.sink, forward.Async) })
		a.losesOne(8)
		w.must(w.bare.ExecContext(ctx, `GRANT USAGE ON SCHEMA aftercommit TO "`+role+`"; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA aftercommit TO "`+role+`"`))
		a.place(1)
		w.must(w.bare.ExecContext(ctx, `GRANT ALL ON ALL TABLES IN SCHEMA aftercommit TO "`+role+`"`))
		a.place(2)
		a.drain()
		w.want("1 2")
		w.must(a.db.Close())
	})
}

// TestRightsNotGranted: what waited for a relay that there will not be is discarded.
func TestRightsNotGranted(t *testing.T) {
	each(t, func(w *world) {
		dsn, role := w.asWriter()
		w.must(w.bare.ExecContext(ctx, `ALTER ROLE "`+role+`" CONNECTION LIMIT 1; REVOKE USAGE ON SCHEMA aftercommit FROM "`+role+`"`))
		a := w.patient(dsn, forward.Options{}, nil)
		w.must(w.bare.ExecContext(ctx, `GRANT USAGE ON SCHEMA aftercommit TO "`+role+`"`))
		a.place(1)
		w.must(w.bare.ExecContext(ctx, `ALTER ROLE "`+role+`" CONNECTION LIMIT -1`))
		w.until("it starts", func() bool { return a.starts() == 1 })
		if n := w.sink.told(hooks.NoticeDiscarded, "async"); n != 1 || w.sink.reasonOf(hooks.NoticeDiscarded) != "no_relay" {
			t.Errorf("%d events are discarded, want the one that was committed before", n)
		}
		a.place(2)
		w.want("2")
		w.must(a.db.Close())
	})
}

// TestAttemptThatHangs: neither a connection of the app's nor Close waits for it.
func TestAttemptThatHangs(t *testing.T) {
	each(t, func(w *world) {
		l := &late{sink: w.sink, hangs: make(chan struct{})}
		a := w.patient(w.dsn, forward.Options{}, func(h *forward.Hub) { h.Register(l, forward.Auto) })
		a.place(1)
		w.until("it is tried again", func() bool { return l.tried.Load() > 1 })
		a.db.SetMaxOpenConns(2)
		held, err := a.db.Conn(ctx)
		w.must(err)
		a.place(2) // over a new connection
		w.must(held.Close())
		c, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		defer cancel()
		if err := a.hub.Close(c); err == nil || !strings.Contains(err.Error(), "did not return") {
			t.Errorf("close: %v", err)
		}
		close(l.hangs)
		w.must(a.hub.Close(ctx))
		if a.starts() != 0 || w.sink.orders() != "" {
			t.Error("it was started after Close")
		}
	})
}

// TestNoConnectionBeside: with a limit of one connection nothing takes what is
// committed, and nothing says so.
func TestNoConnectionBeside(t *testing.T) {
	each(t, func(w *world) {
		role := w.limited("1")
		w.Cleanup(func() { w.must(w.bare.ExecContext(ctx, `DROP OWNED BY "`+role+`"; DROP ROLE "`+role+`"`)) })
		a, err := w.try(w.dsn+" user="+role, forward.Options{}, nil)
		w.must(err)
		w.until("the relay says that it waits", func() bool { return a.waits() == 1 })
		a.place(1)
		if n, reason := w.sink.told(hooks.NoticeWaiting, "async"), w.sink.reasonOf(hooks.NoticeWaiting); n != 1 || reason != "no_connection" {
			t.Errorf("%d events wait for %q, want 1 for no_connection", n, reason)
		}
		w.must(w.bare.ExecContext(ctx, `ALTER ROLE "`+role+`" CONNECTION LIMIT -1`))
		a.drain()
		w.want("1")
		a.place(2)
		if n := w.sink.told(hooks.NoticeEnqueued, "async"); n != 1 {
			t.Errorf("%d events are enqueued, want 1", n)
		}
		w.must(a.db.Close())
	})
}
