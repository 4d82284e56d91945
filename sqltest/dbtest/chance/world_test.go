// Package chance_test lets chance write the apps: random transactions, many at
// once, random statements, connections cut at random. The databases themselves
// are the judges. For whatever an app recorded there is a row that it wrote in
// the same transaction, under the same savepoint: the row is there if and only
// if the event is in the journal, and what is in the journal was forwarded once.
//
// A failure prints the seed. AFTERCOMMIT_SEED sets it, which repeats the apps'
// choices, though not the races among them.
package chance_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// notes has a row for each event that the app records; a row of books is
// captured; others is for what nobody counts.
var tables = []string{
	"CREATE TABLE notes (id text PRIMARY KEY)",
	"CREATE TABLE books (id text PRIMARY KEY, title text)",
	"CREATE TABLE others (id text)",
}

// world is a database with its audit trail, for many apps.
type world struct {
	reporter
	e     dbtest.Engine
	db    *sql.DB // the apps'
	bare  *sql.DB // the judges'
	hub   *forward.Hub
	sink  *sink
	told  *told
	proxy *dbtest.Proxy // nil if the apps connect directly
	calls calls
	pasts []*past // of the players
}

// reporter is what a *testing.T and a *rapid.T share.
type reporter interface {
	Helper()
	Error(args ...any)
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// newWorld returns a world whose forwarder refuses one call in refuse, or none
// if it is 0. With a proxy the apps connect through it.
func newWorld(t *testing.T, e dbtest.Engine, refuse int, proxy *dbtest.Proxy) *world {
	t.Helper()
	w := &world{reporter: t, e: e, sink: &sink{refuse: refuse}, told: &told{}, proxy: proxy}
	dsn := e.DSN(t)
	w.bare = dbtest.Open(t, e.Driver, dsn)
	for _, query := range tables {
		w.must(w.bare.ExecContext(ctx(), query))
	}
	// Without the relay, which would deliver after half a minute what the sink
	// has refused.
	w.hub = forward.New(&forward.Options{Logger: zap.NewNop(), Observer: w.told, Relay: forward.RelayOff, Timeout: dbtest.Patience})
	w.hub.Register(w.sink, forward.Sync)
	name := dbtest.Name(e.Driver)
	e.Register(name, w.hub, driver.Capture(driver.Tables("books")), driver.WriteTimeout(dbtest.Patience))
	if proxy != nil {
		dsn = dbtest.Via(dsn, proxy.Addr())
	}
	w.db = dbtest.Open(t, name, dsn)
	t.Cleanup(func() { _ = w.hub.Close(ctx()) })
	w.must(w.db.PingContext(ctx()))
	return w
}

func ctx() context.Context { return context.Background() }

func (w *world) must(results ...any) {
	w.Helper()
	if err, ok := results[len(results)-1].(error); ok && err != nil {
		w.Fatal(err)
	}
}

// sink is the forwarder: it keeps what it takes, and what it refuses.
type sink struct {
	refuse int

	mu      sync.Mutex
	calls   int
	taken   []journal.Entry
	refused []journal.Entry
}

var _ forward.Forwarder = (*sink)(nil)

var errRefused = errors.New("refused by chance")

func (s *sink) Forward(c context.Context, entries []journal.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.refuse == 0 || s.calls%s.refuse != 0 {
		s.taken = append(s.taken, entries...)
		return nil
	}
	switch s.calls / s.refuse % 4 {
	case 0: // the first only
		s.refused = append(s.refused, entries[0])
		s.taken = append(s.taken, entries[1:]...)
		return forward.Partial(map[uuid.UUID]error{entries[0].ID: errRefused})
	case 1:
		s.refused = append(s.refused, entries...)
		panic(errRefused)
	case 2: // it needs the database for its answer
		s.refused = append(s.refused, entries...)
		if db := forward.Conn(c); db != nil {
			_ = db.QueryRowContext(c, "SELECT nothing FROM nowhere").Scan(new(int))
		}
	default:
		s.refused = append(s.refused, entries...)
	}
	return errRefused
}

// calls are the keys whose functions were called.
type calls struct {
	mu                sync.Mutex
	committed, undone []string
}

func (c *calls) onCommit(key string) func(context.Context) {
	return func(context.Context) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.committed = append(c.committed, key)
	}
}

func (c *calls) onRollback(key string) func(context.Context) {
	return func(context.Context) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.undone = append(c.undone, key)
	}
}

// told is what the observer was told of each event: no judge, but it says what
// went wrong.
type told struct {
	mu     sync.Mutex
	events map[uuid.UUID]string
}

var _ hooks.Observer = (*told)(nil)

// Observe keeps n for each of its events.
func (o *told) Observe(n hooks.Notice) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.events == nil {
		o.events = map[uuid.UUID]string{}
	}
	text := string(n.Kind)
	if n.Reason != "" {
		text += " (" + n.Reason + ")"
	}
	if n.Err != nil {
		text += " " + n.Err.Error()
	}
	for _, id := range n.Events {
		o.events[id] += text + "; "
	}
}

func (o *told) of(id uuid.UUID) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.events[id]
}

// settle waits for every transaction to be over, whoever has given it up, and
// has the Hub decide what it does not know yet.
func (w *world) settle() {
	w.Helper()
	// Whoever has the locks has waited for all who wrote.
	lock := []string{"LOCK TABLE notes, books, others, aftercommit.journal IN ACCESS EXCLUSIVE MODE"}
	if w.e.Dialect == hooks.SQLite {
		lock = []string{"INSERT INTO others (id) VALUES ('lock')"}
	}
	tx, err := w.bare.BeginTx(ctx(), nil)
	w.must(err)
	for _, query := range lock {
		w.must(tx.ExecContext(ctx(), query))
	}
	w.must(tx.Rollback())
	// A connection that a cut has broken costs one attempt.
	for range 5 {
		if err = w.hub.Settle(ctx()); err == nil && w.hub.Pending() == 0 {
			return
		}
	}
	w.Fatalf("%d transactions are still not settled: %v", w.hub.Pending(), err)
}

// judge compares rows, journal and forwarder, of all keys that begin as prefix
// does.
func (w *world) judge(prefix string) {
	w.Helper()
	j, err := journal.New(w.e.Dialect, nil)
	w.must(err)
	var recorded, captured, strange []string
	journaled := map[uuid.UUID]int{}
	for e, err := range j.Each(ctx(), w.bare, journal.Query{}) {
		w.must(err)
		if e.Target.ID == "" {
			strange = append(strange, fmt.Sprintf("%s %q", e.ID, e.Action))
		}
		if !hasPrefix(e, prefix) {
			continue
		}
		journaled[e.ID]++
		switch {
		case e.Captured:
			captured = append(captured, e.Target.ID)
		case e.Target.Type == "note":
			recorded = append(recorded, e.Target.ID)
		}
	}
	w.report("events of nobody", strange)
	w.same("notes and recorded events", w.keys("notes", prefix), recorded)
	w.same("books and captured events", w.keys("books", prefix), captured)
	w.judgeForwarded(prefix, journaled)
	w.judgeCalls(w.keys("notes", prefix))
}

func hasPrefix(e journal.Entry, prefix string) bool {
	return len(e.Target.ID) >= len(prefix) && e.Target.ID[:len(prefix)] == prefix
}

// keys lists the keys of a table.
func (w *world) keys(table, prefix string) []string {
	w.Helper()
	rows, err := w.bare.QueryContext(ctx(), "SELECT id FROM "+table+" WHERE id LIKE '"+prefix+"%'")
	w.must(err)
	defer rows.Close()
	var keys []string
	for rows.Next() {
		var key string
		w.must(rows.Scan(&key))
		keys = append(keys, key)
	}
	w.must(rows.Err())
	return keys
}

// same asks that both lists have the same keys, each once.
func (w *world) same(what string, rows, events []string) {
	w.Helper()
	count := map[string][2]int{}
	for _, key := range rows {
		c := count[key]
		c[0]++
		count[key] = c
	}
	for _, key := range events {
		c := count[key]
		c[1]++
		count[key] = c
	}
	var wrong []string
	for key, c := range count {
		if c != [2]int{1, 1} {
			wrong = append(wrong, fmt.Sprintf("%s: %d rows, %d events%s", key, c[0], c[1], w.story(key)))
		}
	}
	w.report(what, wrong)
}

// story tells what a player has done with a key.
func (w *world) story(key string) string {
	for _, p := range w.pasts {
		if story, ok := p.tell(key); ok {
			return ": " + story
		}
	}
	return ""
}

func (w *world) report(what string, wrong []string) {
	w.Helper()
	if len(wrong) == 0 {
		return
	}
	slices.Sort(wrong)
	w.Errorf("%s: %d do not agree, such as %q", what, len(wrong), wrong[:min(len(wrong), 10)])
}

// judgeForwarded asks that each journaled event came to the forwarder, once.
func (w *world) judgeForwarded(prefix string, journaled map[uuid.UUID]int) {
	w.Helper()
	w.sink.mu.Lock()
	defer w.sink.mu.Unlock()
	got := map[uuid.UUID]int{}
	for _, e := range slices.Concat(w.sink.taken, w.sink.refused) {
		if hasPrefix(e, prefix) {
			got[e.ID]++
		}
	}
	var wrong []string
	for id, n := range journaled {
		if n != 1 || got[id] != 1 {
			wrong = append(wrong, fmt.Sprintf("%s: %d in the journal, %d forwarded; told: %s", id, n, got[id], w.told.of(id)))
		}
	}
	for id, n := range got {
		if journaled[id] == 0 {
			wrong = append(wrong, fmt.Sprintf("%s: not in the journal, %d forwarded; told: %s", id, n, w.told.of(id)))
		}
	}
	w.report("journal and forwarder", wrong)
}

// judgeCalls asks that functions of OnCommit were called only for what is there,
// those of OnRollback only for what is not, and none twice.
func (w *world) judgeCalls(keys []string) {
	w.Helper()
	w.calls.mu.Lock()
	defer w.calls.mu.Unlock()
	there := map[string]bool{}
	for _, key := range keys {
		there[key] = true
	}
	var wrong []string
	for _, called := range []struct {
		what string
		keys []string
		want bool
	}{{"OnCommit", w.calls.committed, true}, {"OnRollback", w.calls.undone, false}} {
		seen := map[string]bool{}
		for _, key := range called.keys {
			if there[key] != called.want || seen[key] {
				wrong = append(wrong, called.what+" of "+key)
			}
			seen[key] = true
		}
	}
	w.report("functions", wrong)
}
