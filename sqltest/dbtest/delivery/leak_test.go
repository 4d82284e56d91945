package delivery_test

import (
	"context"
	"database/sql"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// gate is a forwarder that lets a test do something in the middle of the first
// connection.
type gate struct {
	reached, pass chan struct{}
}

func newGate() *gate { return &gate{make(chan struct{}), make(chan struct{})} }

func (*gate) Forward(context.Context, []journal.Entry) error { return nil }

// Attach waits.
func (g *gate) Attach(context.Context, *sql.DB) error {
	close(g.reached)
	<-g.pass
	return nil
}

// connections counts those that others have to the database.
func (w *world) connections() (n int) {
	w.Helper()
	w.must(w.bare.QueryRowContext(ctx, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'").Scan(&n))
	return n
}

// TestClosedWhileConnecting: the app closes its database, or the Hub, before the first
// connection is ready. Nothing is started that would live on.
func TestClosedWhileConnecting(t *testing.T) {
	closes := map[string]func(a *app){
		"the database": func(a *app) { a.must(a.db.Close()) },
		"the Hub":      func(a *app) { a.must(a.hub.Close(ctx)) },
	}
	for what, closeIt := range closes {
		t.Run(what, func(t *testing.T) {
			each(t, func(w *world) {
				w.bare.SetMaxOpenConns(1)
				w.connections()
				before := runtime.NumGoroutine()
				const rounds = 5
				for range rounds {
					g, queue := newGate(), &workers{}
					a := w.open(w.dsn, forward.Options{Queue: queue}, func(h *forward.Hub) {
						h.Register(g, forward.Async)
						h.Register(w.sink, forward.Sync)
					})
					var connecting sync.WaitGroup
					connecting.Go(func() { _ = a.db.PingContext(ctx) })
					<-g.reached
					closeIt(a)
					close(g.pass)
					connecting.Wait()
					if n := queue.running; n != 0 {
						t.Fatalf("%d workers run", n)
					}
					w.must(a.db.Close())
				}
				w.until("no connection is left", func() bool { return w.connections() == 0 })
				w.until("no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
			})
		})
	}
}

// TestOpenedAndClosed in a loop leaves nothing behind, nor do two pools of one name.
func TestOpenedAndClosed(t *testing.T) {
	each(t, func(w *world) {
		w.bare.SetMaxOpenConns(1)
		w.connections()
		before := runtime.NumGoroutine()
		a := w.start(forward.Options{}, nil)
		for id := range 5 {
			b := dbtest.Open(w.T, a.name, w.dsn)
			c := dbtest.Open(w.T, a.name, w.dsn)
			w.must(hooks.Record(ctx, b, hooks.Event{Action: "order.placed", Target: hooks.Target{ID: "b"}}))
			w.must(c.PingContext(ctx))
			w.must(b.Close())
			w.must(c.Close())
			a.place(id)
		}
		w.must(a.db.Close())
		w.until("no connection is left", func() bool { return w.connections() == 0 })
		w.until("no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
	})
}

// TestHubClosed: only the app's own connection is left.
func TestHubClosed(t *testing.T) {
	each(t, func(w *world) {
		w.bare.SetMaxOpenConns(1)
		a := w.start(forward.Options{}, nil)
		a.db.SetMaxOpenConns(1)
		a.place(1)
		a.drain()
		w.must(a.hub.Close(ctx))
		w.until("the others are closed", func() bool { return w.connections() == 1 })
		a.place(2)
		w.must(a.db.Close())
	})
}

// workers are a Queue that counts those that run.
type workers struct{ running int }

func (*workers) Enqueue(context.Context, *sql.DB, hooks.Dialect, []forward.Job) error { return nil }
func (*workers) Check(context.Context, *sql.DB, hooks.Dialect) error                  { return nil }

// Start counts one.
func (q *workers) Start(context.Context, forward.Worker) (forward.Workers, error) {
	q.running++
	return q, nil
}

// Stop counts one less.
func (q *workers) Stop(context.Context) error {
	q.running--
	return nil
}

// Drain has nothing to wait for.
func (*workers) Drain(context.Context) error                   { return nil }
func (*workers) States(context.Context) ([]relay.State, error) { return nil, nil }

// hanging is a sink that does not return, not even when its context ends.
type hanging struct {
	mu      sync.Mutex
	running int
	release chan struct{}
	got     map[uuid.UUID]bool
}

func (h *hanging) Forward(_ context.Context, entries []journal.Entry) error {
	h.add(1, nil)
	defer h.add(-1, nil)
	select {
	case <-h.release:
		h.add(0, entries)
		return nil
	default:
	}
	<-h.release
	return errors.New("too late")
}

func (h *hanging) add(n int, entries []journal.Entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running += n
	for i := range entries {
		h.got[entries[i].ID] = true
	}
}

func (h *hanging) counts() (running, got int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.running, len(h.got)
}

// TestAsyncSinkThatNeverReturns collects three calls and no more; all entries are
// delivered once it returns again.
func TestAsyncSinkThatNeverReturns(t *testing.T) {
	each(t, func(w *world) {
		h := &hanging{release: make(chan struct{}), got: make(map[uuid.UUID]bool)}
		a := w.start(forward.Options{}, func(hub *forward.Hub) {
			hub.Register(h, forward.Async, forward.Timeout(time.Millisecond))
		})
		a.place(1, 2, 3, 4, 5)
		w.until("the limit is reported", func() bool {
			return a.logs.FilterMessageSnippet("have not returned; it is not called").Len() == 1
		})
		w.until("it is suspended for that", func() bool { return w.sink.reasonOf(hooks.NoticeSuspended) != "" })
		if running, _ := h.counts(); running != 3 {
			t.Errorf("%d calls run, want 3", running)
		}
		close(h.release)
		w.until("all are delivered", func() bool { _, got := h.counts(); return got == 5 })
	}, dbtest.PQ) // it waits for pauses, and no driver matters
}
