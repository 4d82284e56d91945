package forward

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// absent is a forwarder that cannot be attached until ready.
type absent struct {
	taker
	ready atomic.Bool
}

func (a *absent) Attach(context.Context, *sql.DB) error {
	if a.ready.Load() {
		return nil
	}
	return Permanent("schema_mismatch", errors.New("no tables"))
}

// moodyQueue is a Queue whose starts do what is next in moods, and then succeed.
type moodyQueue struct {
	startsQueue
	mu     sync.Mutex
	moods  []func() error
	starts []string // the forwarders of each start that succeeded
}

func (q *moodyQueue) Start(_ context.Context, w Worker) (Workers, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.moods) > 0 {
		next := q.moods[0]
		q.moods = q.moods[1:]
		if err := next(); err != nil {
			return nil, err
		}
	}
	q.starts = append(q.starts, strings.Join(w.Forwarders, "+"))
	return new(stops), nil
}

func (q *moodyQueue) fail(moods ...func() error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.moods = moods
}

func (q *moodyQueue) started() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return strings.Join(q.starts, " ")
}

// TestWorkersStartAgain: a forwarder that is attached later costs the others nothing for
// good if the Queue's workers cannot be started at once; in the app's process and in one
// of Hub.Work.
func TestWorkersStartAgain(t *testing.T) {
	for name, pool := range map[string]*sql.DB{"beside an app": nil, "Hub.Work": sql.OpenDB(nowhere{})} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				late := new(absent)
				w := newWorld(t, func(h *Hub) {
					h.Register(late, Auto, ID("late"))
					h.Register(&taker{}, Auto, ID("good"))
				})
				q := new(moodyQueue)
				d := w.haveQueue(q)
				if err := d.attach(ctx, w.conn); err != nil {
					t.Fatal(err)
				}
				if !d.tryWorkWith(pool) {
					t.Fatal("the workers do not start")
				}
				good, both := d.queue.given[1].name(), d.queue.given[0].name()+"+"+d.queue.given[1].name()
				d.lookAgain(pool)
				down := errors.New("river_migration does not exist")
				q.fail(func() error { return down }, func() error { panic("a bad day") })
				late.ready.Store(true)
				time.Sleep(firstPause)
				synctest.Wait()
				if got := d.hub.Status(ctx).Databases[0].Waiting; !errors.Is(got, down) {
					t.Errorf("the workers wait for %v, want %v", got, down)
				}
				soon, cancel := context.WithTimeout(ctx, time.Millisecond)
				defer cancel()
				if err := d.hub.Drain(soon); !errors.Is(err, down) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Drain without workers: %v", err)
				}
				if n := w.logs.FilterMessageSnippet("cannot be started yet").Len(); n != 1 {
					t.Errorf("%d lines say that they wait, want 1", n)
				}
				if err := d.hub.Drain(ctx); err != nil { // which waits for them
					t.Errorf("Drain: %v", err)
				}
				if got := q.started(); got != good+" "+both {
					t.Errorf("the workers were started for %q", got)
				}
				if got := d.hub.Status(ctx).Databases[0].Waiting; got != nil || d.workers() == nil {
					t.Errorf("the workers wait for %v", got)
				}
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// haveQueue has q deliver to all forwarders of the world.
func (w *world) haveQueue(q Queue) *handler {
	w.hub.external = q
	d := w.hub.newHandler(hooks.Database{Driver: "db-audited", Dialect: hooks.Postgres, Connector: nowhere{}})
	d.queue.given, d.sinks = d.sinks, nil
	d.hub.keepOpen(d)
	return d
}

func (d *handler) tryWorkWith(pool *sql.DB) bool { return d.tryWork(ctx, pool) == nil }

// stuck is a server that answers no one until it is released.
type stuck chan struct{}

func (s stuck) Connect(context.Context) (driver.Conn, error) {
	<-s
	return nil, errNowhere
}

func (stuck) Driver() driver.Driver { return nil }

// TestNotedWhileTheRelayStops: what sync forwarders accept or refuse then is noted, or
// the next relay, of this process or another, delivers it once more.
func TestNotedWhileTheRelayStops(t *testing.T) {
	for name, end := range map[string]func(d *handler){
		"for a forwarder that is attached later": func(d *handler) { d.restartRelay(ctx) },
		"for good":                               func(d *handler) { _ = d.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, err := relay.New(hooks.Postgres, nil)
				if err != nil {
					t.Fatal(err)
				}
				w := newWorld(t, func(h *Hub) { h.Register(&taker{}, Sync) })
				d := w.open(hooks.Postgres)
				d.queue.store = store
				server := make(stuck)
				db := sql.OpenDB(server)
				defer func() { _ = db.Close() }()
				d.runQueue(db)
				synctest.Wait() // the relay waits for a connection
				first := d.running()
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					end(d)
				}()
				synctest.Wait()
				accepted, refused := []journal.Entry{{}}, []journal.Entry{{Event: hooks.Event{ID: uuid.New()}}}
				s := d.sinks[0]
				d.noteAccepted(s, accepted)
				if !d.noteRefused(hooks.Notice{Forwarder: s.name()}, refused) || len(d.queue.notes.accepted[s.name()]) != 1 {
					t.Error("what the sync forwarder did is forgotten")
				}
				restarts := !d.starter.isClosed()
				if restarts && (d.running() != first || d.relayDB() != db) {
					t.Error("meanwhile there is no relay to Drain and to ask for the Status")
				}
				close(server)
				<-ended
				if next := d.running(); restarts != (next != nil) || next == first {
					t.Errorf("the relay is %p after %p", next, first)
				}
				if err := d.Close(); err != nil {
					t.Error(err)
				}
				if d.noteAccepted(s, accepted); d.noteRefused(hooks.Notice{}, nil) {
					t.Error("what is accepted later is kept for no one")
				}
			})
		})
	}
}

// TestNoRelayAfterClose: the database may be closed while its relay is restarted.
func TestNoRelayAfterClose(t *testing.T) {
	store, err := relay.New(hooks.Postgres, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(h *Hub) { h.Register(&taker{}, Sync) })
	d := w.open(hooks.Postgres)
	d.queue.store = store
	d.runQueue(w.conn)
	if err := d.starter.close(ctx); err != nil {
		t.Fatal(err)
	}
	old := d.running()
	if d.restartRelay(ctx); d.running() != old {
		t.Error("a relay was started")
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
