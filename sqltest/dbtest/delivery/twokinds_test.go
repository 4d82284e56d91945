package delivery_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// kinds is a program with a database on PostgreSQL and one on SQLite behind one
// Hub, which writes a timeline in each.
type kinds struct {
	*world
	hub      *forward.Hub
	pg, lite *sql.DB // audited
	bareLite *sql.DB
}

func (w *world) kinds(o forward.Options, d forward.Dispatch) *kinds {
	w.Helper()
	o.Logger, o.Observer = zap.NewNop(), w.sink
	k := &kinds{world: w, hub: forward.New(&o)}
	k.register(k.hub, d)
	open := func(e dbtest.Engine, dsn string) *sql.DB {
		name := dbtest.Name(e.Driver)
		driver.Register(name, e.Driver, k.hub, driver.WriteTimeout(dbtest.Patience))
		return dbtest.Open(w.T, name, dsn)
	}
	dsn := dbtest.SQLite.DSN(w.T)
	k.bareLite = dbtest.Open(w.T, dbtest.SQLite.Driver, dsn)
	w.must(k.bareLite.ExecContext(ctx, "CREATE TABLE orders (id integer PRIMARY KEY)"))
	k.pg, k.lite = open(w.e, w.dsn), open(dbtest.SQLite, dsn)
	return k
}

func (k *kinds) register(h *forward.Hub, d forward.Dispatch) {
	h.Register(&speaking{Forwarder: threadline.NewForwarder(nil), t: k.T}, d)
}

const perKind = 10

// place commits events in both databases, with the two taking turns or at once.
func (k *kinds) place(atOnce bool) {
	k.Helper()
	one := func(db *sql.DB, i int) {
		if err := hooks.Record(ctx, db, hooks.Event{Action: "order.placed", Target: hooks.Target{Type: "order", ID: fmt.Sprint(i)}}); err != nil {
			k.Error(err)
		}
	}
	if !atOnce {
		for i := range perKind {
			one(k.pg, i)
			one(k.lite, i)
		}
		return
	}
	var both sync.WaitGroup
	for _, db := range []*sql.DB{k.pg, k.lite} {
		both.Go(func() {
			for i := range perKind {
				one(db, i)
			}
		})
	}
	both.Wait()
}

// check waits until each event is in the timeline of its own database.
func (k *kinds) check() {
	k.Helper()
	for _, s := range []*threadline.Store{threadline.NewStore(k.bare, k.e.Dialect, nil), threadline.NewStore(k.bareLite, hooks.SQLite, nil)} {
		k.until("all are in the timeline", func() bool {
			page, err := s.Timeline(ctx, threadline.Query{Limit: perKind + 1})
			return err == nil && len(page.Actions) == perKind
		})
	}
	if r := k.sink.reasonOf(hooks.NoticeFailed); r != "" {
		k.Errorf("a delivery failed: %s", r)
	}
}

// speaking checks that the dialect it gets is that of the database it gets.
type speaking struct {
	*threadline.Forwarder
	t *testing.T
}

func (s *speaking) check(ctx context.Context, db *sql.DB) {
	// A form that neither refuses: an error would end PostgreSQL's transaction.
	var answer string
	if err := db.QueryRowContext(ctx, "SELECT CAST('0x10' AS varchar(2))").Scan(&answer); err != nil {
		s.t.Error(err)
		return
	}
	want := hooks.Postgres // which cuts it to two characters
	if answer == "0x10" {
		want = hooks.SQLite
	}
	if got := forward.Dialect(ctx); got != want {
		s.t.Errorf("the dialect is %q, and the database speaks %q", got, want)
	}
}

func (s *speaking) Attach(ctx context.Context, db *sql.DB) error {
	s.check(ctx, db)
	return s.Forwarder.Attach(ctx, db)
}

func (s *speaking) Forward(ctx context.Context, entries []journal.Entry) error {
	s.check(ctx, forward.Conn(ctx))
	return s.Forwarder.Forward(ctx, entries)
}

// TestTwoKindsOfDatabase: one forwarder serves databases of two dialects, however
// it is called, and never takes one for the other.
func TestTwoKindsOfDatabase(t *testing.T) {
	for name, d := range map[string]forward.Dispatch{"sync": forward.Sync, "auto": forward.Auto} {
		t.Run(name, func(t *testing.T) {
			each(t, func(w *world) {
				k := w.kinds(forward.Options{}, d)
				k.place(true)
				k.check()
			})
		})
	}
	t.Run("without a journal", func(t *testing.T) {
		each(t, func(w *world) {
			k := w.kinds(forward.Options{NoJournal: true}, forward.Auto)
			k.place(true)
			k.check()
		})
	})
	t.Run("Hub.Relay", func(t *testing.T) {
		each(t, func(w *world) {
			k := w.kinds(forward.Options{Relay: forward.RelayElsewhere}, forward.Async)
			k.place(false)
			k.beside(forward.Options{}, forward.Async, (*forward.Hub).Relay)
			k.check()
		})
	})
	t.Run("Queue", func(t *testing.T) {
		each(t, func(w *world) {
			q := &listQueue{}
			k := w.kinds(forward.Options{Queue: q, Relay: forward.RelayElsewhere}, forward.Async)
			k.place(false)
			k.beside(forward.Options{Queue: q}, forward.Async, (*forward.Hub).Work)
			k.check()
		})
	})
}

// beside runs work for both databases, by one Hub of its own.
func (k *kinds) beside(o forward.Options, d forward.Dispatch, work func(*forward.Hub, context.Context, *sql.DB, hooks.Dialect) error) {
	o.Logger, o.Observer = zap.NewNop(), k.sink
	h := forward.New(&o)
	k.register(h, d)
	c, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	for _, db := range []struct {
		*sql.DB
		dialect hooks.Dialect
	}{{k.bare, k.e.Dialect}, {k.bareLite, hooks.SQLite}} {
		all.Go(func() {
			if err := work(h, c, db.DB, db.dialect); err != nil && !errors.Is(err, context.Canceled) {
				k.Error(err)
			}
		})
	}
	k.Cleanup(func() { stop(); all.Wait() })
}

// listQueue is a Queue in memory. Its workers do all jobs when they start.
type listQueue struct {
	mu   sync.Mutex
	jobs map[hooks.Dialect][]forward.Job
}

func (q *listQueue) Enqueue(_ context.Context, _ *sql.DB, d hooks.Dialect, jobs []forward.Job) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.jobs == nil {
		q.jobs = make(map[hooks.Dialect][]forward.Job)
	}
	q.jobs[d] = append(q.jobs[d], jobs...)
	return nil
}

func (q *listQueue) Check(context.Context, *sql.DB, hooks.Dialect) error { return nil }

func (q *listQueue) Start(ctx context.Context, w forward.Worker) (forward.Workers, error) {
	q.mu.Lock()
	jobs := q.jobs[w.Dialect]
	q.mu.Unlock()
	var errs []error
	for _, j := range jobs {
		j.Attempt = 1
		errs = append(errs, w.Deliver(ctx, j).Err)
	}
	return q, errors.Join(errs...)
}

func (q *listQueue) Stop(context.Context) error                    { return nil }
func (q *listQueue) Drain(context.Context) error                   { return nil }
func (q *listQueue) States(context.Context) ([]relay.State, error) { return nil, nil }
