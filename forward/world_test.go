package forward

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

var ctx = context.Background()

// nowhere is a database that nobody is to use: what is lent to forwarders that
// need none.
type nowhere struct{}

var errNowhere = errors.New("there is no such database")

func (nowhere) Connect(context.Context) (driver.Conn, error) { return nil, errNowhere }
func (nowhere) Driver() driver.Driver                        { return nil }

// lentDB is a database as the driver lends it.
type lentDB struct{ hooks.Handle }

func (l lentDB) DB() *sql.DB { return l.Handle.(*sql.DB) }

func (l lentDB) QueryRow(context.Context, string) ([]string, int64, error) { return nil, 0, errNowhere }

// world is a Hub without a journal that has one database open, driven as the
// driver would drive it.
type world struct {
	t    *testing.T
	hub  *Hub
	h    *handler
	conn *sql.DB
	logs *observer.ObservedLogs

	mu      sync.Mutex
	clock   time.Time
	notices []hooks.Notice
}

func newWorld(t *testing.T, register func(h *Hub)) *world {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	conn := sql.OpenDB(nowhere{})
	t.Cleanup(func() { _ = conn.Close() })
	w := &world{t: t, logs: logs, conn: conn, clock: time.Unix(1_800_000_000, 0)}
	w.hub = New(&Options{
		NoJournal: true, Logger: zap.New(core), Observer: hooks.ObserverFunc(w.observe),
		Application: "shop", Host: "h1", Timeout: time.Minute,
	})
	w.hub.now = w.now
	if register != nil {
		register(w.hub)
	}
	w.h = w.open(hooks.SQLite)
	return w
}

func (w *world) open(dialect hooks.Dialect) *handler {
	w.t.Helper()
	h, err := w.hub.Open(hooks.Database{Driver: "db-audited", Dialect: dialect})
	if err != nil {
		w.t.Fatal(err)
	}
	return h.(*handler)
}

func (w *world) observe(n hooks.Notice) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notices = append(w.notices, n)
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

// told returns the notices since the last call, each as "kind" or
// "kind:reason", with "*count" where it is about more than one event.
func (w *world) told() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var words []string
	for _, n := range w.notices {
		word := string(n.Kind)
		if n.Reason != "" {
			word += ":" + n.Reason
		}
		if n.Count > 1 {
			word += "*" + string(rune('0'+n.Count))
		}
		words = append(words, word)
	}
	w.notices = nil
	return strings.Join(words, " ")
}

func (w *world) end(outcome hooks.Outcome, actions ...string) hooks.Outcome {
	w.t.Helper()
	return w.h.End(ctx, w.ended(outcome, w.events(actions...)))
}

// ended is how a transaction ended that had one flush.
func (w *world) ended(outcome hooks.Outcome, events []hooks.Event) hooks.Ended {
	writes := []hooks.Write{{Key: uuid.Must(uuid.NewV7()), Events: events}}
	return hooks.Ended{Outcome: outcome, Events: events, Writes: writes, Tx: 5, Conn: lentDB{w.conn}}
}

func (w *world) events(actions ...string) []hooks.Event {
	w.t.Helper()
	list := make([]hooks.Event, len(actions))
	for i, a := range actions {
		e, err := hooks.Prepare(hooks.Event{Action: a})
		if err != nil {
			w.t.Fatal(err)
		}
		list[i] = e
	}
	return list
}

func (w *world) wantTold(want string) {
	w.t.Helper()
	if got := w.told(); got != want {
		w.t.Errorf("observers were told %q, want %q", got, want)
	}
}

// logged reports whether a line of that level contains text.
func (w *world) logged(level zapcore.Level, text string) bool {
	for _, e := range w.logs.All() {
		if e.Level == level && strings.Contains(e.Message, text) {
			return true
		}
	}
	return false
}

// taker is a forwarder that notes what it gets, and then does what it is told.
type taker struct {
	do func(ctx context.Context, entries []journal.Entry) error

	mu    sync.Mutex
	calls [][]journal.Entry
}

func (f *taker) Forward(ctx context.Context, entries []journal.Entry) error {
	f.mu.Lock()
	f.calls = append(f.calls, entries)
	f.mu.Unlock()
	if f.do == nil {
		return nil
	}
	return f.do(ctx, entries)
}

// got returns the actions it got, calls separated by "|".
func (f *taker) got() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := make([]string, len(f.calls))
	for i, c := range f.calls {
		words := make([]string, len(c))
		for j := range c {
			words[j] = c[j].Action
		}
		calls[i] = strings.Join(words, " ")
	}
	return strings.Join(calls, "|")
}

func (f *taker) times() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.calls)
}

func (f *taker) wantGot(t *testing.T, want string) {
	t.Helper()
	if got := f.got(); got != want {
		t.Errorf("the forwarder got %q, want %q", got, want)
	}
}
