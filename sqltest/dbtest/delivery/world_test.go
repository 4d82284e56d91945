// Package delivery_test runs an app, a Hub and its relay together, on real
// databases: what was committed reaches its sinks, whatever becomes of the
// process.
package delivery_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

var ctx = context.Background()

// world is a database, which outlives the apps on it.
type world struct {
	*testing.T
	e    dbtest.Engine
	dsn  string
	bare *sql.DB
	sink *sink
	// options are those of the driver.
	options []driver.Option
}

func each(t *testing.T, f func(w *world), engines ...dbtest.Engine) {
	t.Helper()
	if len(engines) == 0 {
		engines = []dbtest.Engine{dbtest.PQ, dbtest.PGX}
	}
	for _, e := range engines {
		t.Run(e.Name, func(t *testing.T) {
			dsn := e.DSN(t)
			w := &world{T: t, e: e, dsn: dsn, bare: dbtest.Open(t, e.Driver, dsn), sink: &sink{}}
			w.must(w.bare.ExecContext(ctx, "CREATE TABLE orders (id integer PRIMARY KEY)"))
			f(w)
		})
	}
}

func (w *world) must(results ...any) {
	w.Helper()
	if err, ok := results[len(results)-1].(error); ok && err != nil {
		w.Fatal(err)
	}
}

// app is one process, as far as a test can have several.
type app struct {
	*world
	hub  *forward.Hub
	name string // of the driver
	db   *sql.DB
	logs *observer.ObservedLogs
}

// start starts an app; register registers its forwarders, by default the world's
// sink with Auto.
func (w *world) start(o forward.Options, register func(h *forward.Hub)) *app {
	w.Helper()
	a, err := w.try(w.dsn, o, register)
	w.must(err)
	return a
}

func (w *world) try(dsn string, o forward.Options, register func(h *forward.Hub)) (*app, error) {
	w.Helper()
	a := w.open(dsn, o, register)
	return a, a.db.PingContext(ctx)
}

// open is try without a connection.
func (w *world) open(dsn string, o forward.Options, register func(h *forward.Hub)) *app {
	w.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	o.Logger, o.Observer = zap.New(core), w.sink
	if o.Timeout == 0 {
		o.Timeout = dbtest.Patience
	}
	a := &app{world: w, hub: forward.New(&o), logs: logs}
	if register == nil {
		register = func(h *forward.Hub) { h.Register(w.sink, forward.Auto) }
	}
	register(a.hub)
	a.name = dbtest.Name(w.e.Driver)
	driver.Register(a.name, w.e.Driver, a.hub, append([]driver.Option{driver.WriteTimeout(dbtest.Patience)}, w.options...)...)
	a.db = dbtest.Open(w.T, a.name, dsn)
	return a
}

// place commits orders, each with its event.
func (a *app) place(ids ...int) {
	a.Helper()
	for _, id := range ids {
		tx, err := a.db.BeginTx(ctx, nil)
		a.must(err)
		a.must(tx.ExecContext(ctx, a.e.Rebind("INSERT INTO orders (id) VALUES (?)"), id))
		a.must(hooks.Record(ctx, tx, hooks.Event{Action: "order.placed", Target: hooks.Target{Type: "order", ID: fmt.Sprint(id)}}))
		a.must(tx.Commit())
	}
}

func (a *app) drain() {
	a.Helper()
	c, cancel := context.WithTimeout(ctx, dbtest.Patience)
	defer cancel()
	a.must(a.hub.Drain(c))
}

// warnings returns the messages of the log from warnings up.
func (a *app) warnings() string {
	var all []string
	for _, l := range a.logs.All() {
		if l.Level >= zapcore.WarnLevel {
			all = append(all, l.Message)
		}
	}
	return strings.Join(all, "\n")
}

// started returns the forwarders of the start line.
func (a *app) started() string {
	a.Helper()
	for _, l := range a.logs.FilterMessage("aftercommit: started").All() {
		return fmt.Sprint(l.ContextMap()["forwarders"])
	}
	a.Fatal("there is no start line")
	return ""
}

func (w *world) until(what string, ok func() bool) {
	w.Helper()
	for deadline := time.Now().Add(dbtest.Patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("never: %s", what)
		}
	}
}

func (w *world) want(orders string) {
	w.Helper()
	if got := w.sink.orders(); got != orders {
		w.Errorf("the sink has orders [%s], want [%s]", got, orders)
	}
}

var errAway = errors.New("the sink is away")

// sink takes entries, and notices.
type sink struct {
	mu      sync.Mutex
	away    bool
	got     []string
	notices []hooks.Notice
}

func (s *sink) Forward(_ context.Context, entries []journal.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return errAway
	}
	for _, e := range entries {
		s.got = append(s.got, e.Target.ID)
	}
	return nil
}

func (s *sink) set(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

func (s *sink) orders() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.got, " ")
}

// Observe keeps n.
func (s *sink) Observe(n hooks.Notice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notices = append(s.notices, n)
}

// told counts the events of notices of a kind and dispatch.
func (s *sink) told(kind hooks.NoticeKind, dispatch string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	total := 0
	for _, n := range s.notices {
		if n.Kind == kind && n.Dispatch == dispatch {
			total += max(1, n.Count)
		}
	}
	return total
}

// reasonOf returns the reason of the last notice of a kind, "" if there was none.
func (s *sink) reasonOf(kind hooks.NoticeKind) (reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.notices {
		if n.Kind == kind {
			reason = n.Reason
		}
	}
	return reason
}
