package river_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/river"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestSlowSinkIsNotInTheWay: while a sink waits in as many jobs as River works at once,
// another one gets what is committed, and may use the database.
func TestSlowSinkIsNotInTheWay(t *testing.T) {
	for _, tt := range []struct {
		name, query string
		engines     []dbtest.Engine
		atOnce      int // calls that get beyond the query
		others      int // jobs of the other sink that are done meanwhile
	}{
		{"it uses no connection", "", dbtest.Engines(), 10, 20},
		{"it has read", "SELECT 1", dbtest.Engines(), 10, 20},
		{"it has written", insert, dbtest.PostgresEngines(), 2, 20},
		{"it has written over the only connection", insert, []dbtest.Engine{dbtest.SQLite}, 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachOf(t, func(w *world) { slowSink(w, tt.query, tt.atOnce, tt.others) }, tt.engines...)
		})
	}
}

const insert = "INSERT INTO copies (name) VALUES ('x')"

func slowSink(w *world, query string, atOnce, others int) {
	w.must(w.bare.ExecContext(ctx, "CREATE TABLE copies (name varchar(40))"))
	slow := &waiting{query: query, called: make(chan struct{}, 100), release: make(chan struct{})}
	w.Cleanup(slow.free)
	w.sink.answer = func(ctx context.Context, _ int, _ []journal.Entry) error {
		for _, query := range []string{"SELECT 1", insert} {
			if _, err := forward.Conn(ctx).ExecContext(ctx, query); err != nil {
				return err
			}
		}
		return nil
	}
	w.beside(slow, forward.RelayInProcess, forward.Timeout(dbtest.Patience))
	for id := range 10 {
		w.commit(id)
	}
	w.until("it is called", func() bool { return len(slow.called) >= atOnce }, w.jobs)
	for id := range 10 {
		w.commit(10 + id)
	}
	w.until("the other gets all", func() bool {
		return w.deliveries(forwarder) >= others && strings.Count(w.jobs(), "completed 1") >= others
	}, w.jobs)
	slow.free()
	w.until("so does the slow one", func() bool { return strings.Count(w.jobs(), "completed 1") == 40 }, w.jobs)
	n, _ := w.sink.count(func(n hooks.Notice) bool { return n.Kind == hooks.NoticeFailed && n.Reason == "no_connection" })
	if n > 0 {
		w.Errorf("%d events failed because their call got no connection, want 0", n)
	}
}

// waiting is a sink that executes its query, and then waits to be released.
type waiting struct {
	query           string
	called, release chan struct{}
	once            sync.Once
}

func (s *waiting) free() { s.once.Do(func() { close(s.release) }) }

func (s *waiting) Forward(ctx context.Context, _ []journal.Entry) error {
	if s.query != "" {
		if _, err := forward.Conn(ctx).ExecContext(ctx, s.query); err != nil {
			return err
		}
	}
	s.called <- struct{}{}
	<-s.release
	return nil
}

// beside starts an app with another sink beside the world's, and a River.
func (w *world) beside(other forward.Forwarder, mode forward.RelayMode, opts ...forward.RegisterOption) {
	w.Helper()
	w.hub = forward.New(&forward.Options{Logger: zap.NewNop(), Observer: w.sink, Relay: mode, Queue: river.New(w.river)})
	w.hub.Register(w.sink, forward.Async, opts...)
	w.hub.Register(other, forward.Async, forward.Timeout(dbtest.Patience))
	w.driver = dbtest.Name(w.e.Driver)
	driver.Register(w.driver, w.e.Driver, w.hub, driver.WriteTimeout(dbtest.Patience))
	w.db = dbtest.Open(w, w.driver, w.dsn)
	w.must(w.db.PingContext(ctx))
}

// TestNoConnectionForASink: a call that gets none, because others keep all, is no attempt
// at the event, and says nothing about the sink.
func TestNoConnectionForASink(t *testing.T) {
	eachOf(t, func(w *world) {
		w.must(w.bare.ExecContext(ctx, "CREATE TABLE copies (name varchar(40))"))
		slow := &waiting{query: insert, called: make(chan struct{}, 1), release: make(chan struct{})}
		w.Cleanup(slow.free)
		w.sink.answer = func(ctx context.Context, _ int, _ []journal.Entry) error {
			<-slow.called
			slow.called <- struct{}{}
			_, err := forward.Conn(ctx).ExecContext(ctx, insert)
			return err
		}
		w.beside(slow, forward.RelayElsewhere, forward.Timeout(time.Second), forward.MaxAttempts(1))
		w.commit(1)
		w.workOver(2) // of which one is River's
		w.until("it is told", func() bool {
			n, reason := w.sink.count(func(n hooks.Notice) bool { return n.Kind == hooks.NoticeFailed })
			return n > 0 && reason == "no_connection"
		}, w.sink.calls)
		slow.free()
		w.untilJobs("completed 1, completed 1")
		w.told(hooks.NoticeSuspended, 0, "")
		w.told(hooks.NoticeDiscarded, 0, "")
	}, dbtest.PostgresEngines()...)
}
