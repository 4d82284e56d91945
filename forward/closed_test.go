package forward

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// stops are Workers that note whether they were stopped.
type stops bool

func (s *stops) Stop(context.Context) error {
	*s = true
	return nil
}

func (*stops) Drain(context.Context) error                   { return nil }
func (*stops) States(context.Context) ([]relay.State, error) { return nil, nil }

// TestNothingStartsOnceClosed: a connection may still be made when its database, or the
// Hub, is closed. It must leave nothing behind.
func TestNothingStartsOnceClosed(t *testing.T) {
	store, err := relay.New(hooks.Postgres, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, end := range map[string]func(w *world) error{
		"the database": func(w *world) error { return w.h.Close() },
		"the Hub":      func(w *world) error { return w.hub.Close(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.h = w.open(hooks.Postgres)
			w.h.db.Connector, w.h.queue.store = nowhere{}, store
			if err := end(w); err != nil {
				t.Fatal(err)
			}
			if _, err := w.h.sideDB(); !errors.Is(err, errClosed) {
				t.Errorf("the pool beside the app's: %v", err)
			}
			db := sql.OpenDB(nowhere{})
			defer func() { _ = db.Close() }()
			if w.h.runQueue(db); w.h.running() != nil {
				t.Error("a relay was started")
			}
			if w.h.keepWorkers(new(stops), nil) || w.h.workers() != nil {
				t.Error("workers were kept")
			}
			if w.h.tryAgain(errStandby); w.h.starter.waitsFor() != nil {
				t.Error("the start is tried again")
			}
			if err := w.h.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWorkersStartedMeanwhileAreStopped: closing does not know them yet.
func TestWorkersStartedMeanwhileAreStopped(t *testing.T) {
	w := newWorld(t, func(h *Hub) { h.Register(&taker{}, Auto) })
	stopped := new(stops)
	w.hub.external = startsQueue{stopped}
	w.h = &handler{hub: w.hub, db: hooks.Database{Dialect: hooks.Postgres}, dialect: postgres{}, setup: make(chan struct{}, 1)}
	w.h.queue.given = []*sink{{registration: w.hub.registrations[0]}}
	if err := w.h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.h.runWorkers(ctx, w.conn); err != nil || !bool(*stopped) {
		t.Errorf("error %v, stopped: %t", err, *stopped)
	}
}

// TestCloseStopsWorkers: that of the database, and that of the Hub.
func TestCloseStopsWorkers(t *testing.T) {
	for name, end := range map[string]func(w *world) error{
		"the database": func(w *world) error { return w.h.Close() },
		"the Hub":      func(w *world) error { return w.hub.Close(ctx) },
	} {
		w, stopped := newWorld(t, nil), new(stops)
		if !w.h.keepWorkers(stopped, nil) {
			t.Fatal("the workers are not kept")
		}
		if err := end(w); err != nil || !bool(*stopped) {
			t.Errorf("%s: error %v, stopped: %t", name, err, *stopped)
		}
	}
}

// startsQueue is a Queue that starts these workers.
type startsQueue struct{ workers *stops }

func (startsQueue) Enqueue(context.Context, *sql.DB, hooks.Dialect, []Job) error { return nil }
func (startsQueue) Check(context.Context, *sql.DB, hooks.Dialect) error          { return nil }

func (q startsQueue) Start(context.Context, Worker) (Workers, error) { return q.workers, nil }
