// Package capture_test asks of the real drivers what becomes an event: which
// statements are captured, under which name and for whom, and what an app may
// record itself, through which handle.
//
// The events are read from the journal, through the bare base driver. A second
// look, what a forwarder got, must always agree.
package capture_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// The kinds of engines.
var (
	pg   = dbtest.PostgresEngines()
	lite = []dbtest.Engine{dbtest.SQLite}
)

// world is an app with its audit trail.
type world struct {
	*testing.T
	e        dbtest.Engine
	dsn      string
	name     string  // of the wrapped driver
	db       *sql.DB // the app's
	bare     *sql.DB // past the wrapper
	hub      *forward.Hub
	recorder *sqltest.Recorder
	told     *notices
	seen     journal.Position // the journal's position up to which events were looked at
}

// newWorld returns an app whose driver captures all tables, with what opts
// change. It has the tables that ddl makes.
func newWorld(t *testing.T, e dbtest.Engine, ddl string, opts ...driver.Option) *world {
	t.Helper()
	w := newHub(t, e, e.DSN(t))
	w.setUp(ddl)
	w.register(append([]driver.Option{driver.Capture(driver.AllTables())}, opts...)...)
	return w
}

// newHub returns a world without a wrapped driver yet.
func newHub(t *testing.T, e dbtest.Engine, dsn string) *world {
	t.Helper()
	w := &world{T: t, e: e, dsn: dsn, recorder: sqltest.NewRecorder(), told: &notices{}}
	w.bare = dbtest.Open(t, e.Driver, dsn)
	// What it would log, the observer is told, too.
	w.hub = forward.New(&forward.Options{Observer: w.told, Logger: zap.NewNop(), Timeout: dbtest.Patience})
	w.hub.Register(w.recorder, forward.Sync)
	t.Cleanup(func() { _ = w.hub.Close(ctx()) })
	return w
}

// setUp executes statements, separated by semicolons, past the wrapper.
func (w *world) setUp(ddl string) {
	w.Helper()
	for query := range strings.SplitSeq(ddl, ";") {
		if strings.TrimSpace(query) != "" {
			w.must(w.bare.ExecContext(ctx(), query))
		}
	}
}

// register wraps the base driver and opens the app's database.
func (w *world) register(opts ...driver.Option) {
	w.Helper()
	w.name = dbtest.Name(w.e.Driver)
	driver.Register(w.name, w.e.Driver, w.hub, append([]driver.Option{driver.WriteTimeout(dbtest.Patience)}, opts...)...)
	w.db = dbtest.Open(w.T, w.name, w.dsn)
}

// each runs f as a subtest in a world of each engine, or of those given.
func each(t *testing.T, ddl string, f func(w *world), engines ...dbtest.Engine) {
	t.Helper()
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		t.Helper()
		f(newWorld(t, e, ddl))
	}, engines...)
}

// sub runs f as a subtest in the same world.
func (w *world) sub(name string, f func(w *world)) {
	w.Helper()
	w.Run(name, func(t *testing.T) {
		t.Helper()
		same := *w
		same.T = t
		f(&same)
		w.seen = same.seen
	})
}

func ctx() context.Context { return context.Background() }

// must takes what a call returns and ends the test on an error.
func (w *world) must(results ...any) {
	w.Helper()
	if err, ok := results[len(results)-1].(error); ok && err != nil {
		w.Fatal(err)
	}
}

// exec executes a statement in the app's database; ? stands for a parameter.
func (w *world) exec(query string, args ...any) {
	w.Helper()
	w.execOn(w.db, query, args...)
}

func (w *world) execOn(h hooks.Handle, query string, args ...any) {
	w.Helper()
	if _, err := h.ExecContext(ctx(), w.e.Rebind(query), args...); err != nil {
		w.Fatalf("%s: %v", query, err)
	}
}

func (w *world) begin() *sql.Tx {
	w.Helper()
	tx, err := w.db.BeginTx(ctx(), nil)
	w.must(err)
	return tx
}

func (w *world) conn() *sql.Conn {
	w.Helper()
	c, err := w.db.Conn(ctx())
	w.must(err)
	w.Cleanup(func() { _ = c.Close() })
	return c
}

// count returns how many rows a table has, as others see it.
func (w *world) count(table string) (n int) {
	w.Helper()
	w.must(w.bare.QueryRowContext(ctx(), "SELECT count(*) FROM "+table).Scan(&n))
	return n
}

func (w *world) wantCount(table string, want int) {
	w.Helper()
	if n := w.count(table); n != want {
		w.Errorf("%s has %d rows, want %d", table, n, want)
	}
}

// events returns the events that have come to the journal since the last call,
// and asks that they, and no others, were forwarded.
func (w *world) events() []journal.Entry {
	w.Helper()
	j, err := journal.New(w.e.Dialect, nil)
	w.must(err)
	var entries []journal.Entry
	for e, err := range j.Each(ctx(), w.bare, journal.Query{After: w.seen}) {
		w.must(err)
		entries = append(entries, e)
		w.seen = e.Position
	}
	w.wantForwarded(entries)
	return entries
}

// wantForwarded compares the entries with what came to the forwarder, by ID.
func (w *world) wantForwarded(entries []journal.Entry) {
	w.Helper()
	id := func(entries []journal.Entry) (ids []string) {
		for _, e := range entries {
			ids = append(ids, e.ID.String())
		}
		slices.Sort(ids)
		return ids
	}
	if in, out := id(entries), id(w.recorder.Entries()); !slices.Equal(in, out) {
		w.Errorf("journal %v, forwarded %v", in, out)
	}
	w.recorder.Reset()
}

// want compares the new events with lines such as
//
//	orders.inserted orders#7 statements=1 rows=2
//
// of action, target and counts; what is not there is left out.
func (w *world) want(lines ...string) {
	w.Helper()
	w.wantAfter("", lines...)
}

// wantAfter is want with the statement that it is about.
func (w *world) wantAfter(what string, lines ...string) {
	w.Helper()
	var got []string
	for _, e := range w.events() {
		got = append(got, line(e))
	}
	if !slices.Equal(got, lines) {
		w.Errorf("%s: events\n\t%s\nwant\n\t%s", what, strings.Join(got, "\n\t"), strings.Join(lines, "\n\t"))
	}
}

func line(e journal.Entry) string {
	s := e.Action
	if e.Target.Type != "" || e.Target.ID != "" {
		s += " " + e.Target.Type
	}
	if e.Target.ID != "" {
		s += "#" + e.Target.ID
	}
	for _, key := range []string{"statements", "rows", "conditional", "via", "column"} {
		if n, ok := e.Metadata[key]; ok {
			s += fmt.Sprintf(" %s=%v", key, n)
		}
	}
	return s
}

// record records an event that is told from others by its target's ID.
func (w *world) record(h hooks.Handle, id string) {
	w.Helper()
	w.must(hooks.Record(ctx(), h, noted(id)))
}

func noted(id string) hooks.Event {
	return hooks.Event{Action: "thing.noted", Target: hooks.Target{Type: "thing", ID: id}}
}

// notices is an observer that keeps what it is told.
type notices struct {
	mu   sync.Mutex
	list []hooks.Notice
}

var _ hooks.Observer = (*notices)(nil)

// Observe keeps n.
func (o *notices) Observe(n hooks.Notice) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = append(o.list, n)
}

// of returns the notices of a kind.
func (o *notices) of(kind hooks.NoticeKind) []hooks.Notice {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(o.list), func(n hooks.Notice) bool { return n.Kind != kind })
}

// total adds up the counts of a kind.
func (o *notices) total(kind hooks.NoticeKind) (n int) {
	for _, notice := range o.of(kind) {
		n += notice.Count
	}
	return n
}

func (o *notices) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = nil
}

// within ends the test if f takes longer than any working machine needs. What
// it guards against is a hang.
func (w *world) within(what string, f func()) {
	w.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(dbtest.Patience):
		w.Fatalf("%s hangs", what)
	}
}

// wantText asks that err says each of the texts.
func (w *world) wantText(err error, texts ...string) {
	w.Helper()
	if err == nil {
		w.Errorf("no error, want one that says %q", texts)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			w.Errorf("error %q does not say %q", err, text)
		}
	}
}
