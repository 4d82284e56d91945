// Package contract_test is the contract of aftercommit as tests: what the app
// does, what is in the journal afterwards, what was forwarded.
//
// Each row is judged by three looks that do not know of each other: the app's
// rows and the journal's rows through the bare base driver, and what a
// forwarder got. Most rows are scripts (see script), which also run on the bare
// driver: the app must see the same rows and the same errors there.
package contract_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// The app's tables: orders and visits are captured, the others are not; visits
// takes an id twice; lines refer to things at COMMIT.
var tables = []string{
	"CREATE TABLE IF NOT EXISTS things (id bigint PRIMARY KEY, note text)",
	"CREATE TABLE IF NOT EXISTS orders (id bigint PRIMARY KEY, note text)",
	"CREATE TABLE IF NOT EXISTS visits (id bigint)",
	"CREATE TABLE IF NOT EXISTS lines (id bigint PRIMARY KEY, thing bigint REFERENCES things (id) DEFERRABLE INITIALLY DEFERRED)",
}

// world is one app with its audit trail, and those who judge it.
type world struct {
	*testing.T
	e    dbtest.Engine
	dsn  string
	name string  // of the wrapped driver
	db   *sql.DB // the app's
	bare *sql.DB // the judges'
	hub  *forward.Hub
	sink *sink
	told *notices
	// noJournal: the hub has none.
	noJournal bool
}

// setup changes what newWorld makes.
type setup struct {
	forward forward.Options
	driver  []driver.Option
	// dispatch is the sink's; the zero value is sync.
	dispatch forward.Dispatch
	// via is the address to which the app's connections go, where it is not the
	// server's own.
	via string
	// hook, if set, goes between the driver and the Hub.
	hook func(hooks.Hook) hooks.Hook
	// dsn is a database that exists already.
	dsn string
	// noRules: nothing is captured.
	noRules bool
}

func newWorld(t *testing.T, e dbtest.Engine, s setup) *world {
	t.Helper()
	w := &world{
		T: t, e: e, dsn: s.dsn, name: dbtest.Name(e.Driver), sink: &sink{}, told: &notices{},
		noJournal: s.forward.NoJournal,
	}
	if w.dsn == "" {
		w.dsn = e.DSN(t)
	}
	w.bare = dbtest.Open(t, e.Driver, w.dsn)
	for _, query := range tables {
		w.must(w.bare.ExecContext(ctx(), query))
	}
	if s.forward.Observer == nil {
		s.forward.Observer = w.told
	}
	if s.forward.Logger == nil {
		s.forward.Logger = zap.NewNop()
	}
	s.forward.Relay = forward.RelayOff // it has tests of its own, and writes when it likes
	if s.forward.Timeout == 0 {
		s.forward.Timeout = dbtest.Patience
	}
	w.hub = forward.New(&s.forward)
	if e.Name == withStatus {
		s.driver = append(s.driver, driver.WithTxStatus(status))
	}
	dispatch := s.dispatch
	if dispatch == 0 {
		dispatch = forward.Sync
	}
	w.hub.Register(w.sink, dispatch)
	var hook hooks.Hook = w.hub
	if s.hook != nil {
		hook = s.hook(hook)
	}
	if !s.noRules {
		s.driver = append([]driver.Option{driver.Capture(driver.Tables("orders", "visits"))}, s.driver...)
	}
	s.driver = append([]driver.Option{driver.WriteTimeout(dbtest.Patience)}, s.driver...)
	e.Register(w.name, hook, s.driver...)
	dsn := w.dsn
	if s.via != "" {
		dsn = dbtest.Via(dsn, s.via)
	}
	w.db = dbtest.Open(t, w.name, dsn)
	return w
}

// forEach runs f for each engine, in both ways to commit, or for those given.
func forEach(t *testing.T, f func(t *testing.T, e dbtest.Engine), engines ...dbtest.Engine) {
	t.Helper()
	if len(engines) == 0 {
		engines = dbtest.CommitEngines()
	}
	dbtest.ForEach(t, f, engines...)
}

// each runs f in a world of each engine, or of those given.
func each(t *testing.T, f func(w *world), engines ...dbtest.Engine) {
	t.Helper()
	forEach(t, func(t *testing.T, e dbtest.Engine) {
		t.Helper()
		f(newWorld(t, e, setup{}))
	}, engines...)
}

// execer and queryer are what conns and transactions share.
type (
	execer  = hooks.Handle
	queryer interface {
		QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	}
)

func ctx() context.Context { return context.Background() }

// must takes what a call returns and ends the test on an error.
func (w *world) must(results ...any) {
	w.Helper()
	if err, ok := results[len(results)-1].(error); ok && err != nil {
		w.Fatal(err)
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

// insert adds a row to things.
func (w *world) insert(h hooks.Handle, id int) {
	w.Helper()
	w.must(h.ExecContext(ctx(), w.e.Rebind("INSERT INTO things (id) VALUES (?)"), id))
}

// record records an event that goes by a name.
func (w *world) record(h hooks.Handle, name string) {
	w.Helper()
	w.must(hooks.Record(ctx(), h, named(name)))
}

func named(name string) hooks.Event {
	return hooks.Event{Action: "thing.noted", Target: hooks.Target{Type: "thing", ID: name}}
}

// nameOf is the inverse of named; captured events go by their actions.
func nameOf(e hooks.Event) string {
	if e.Captured {
		return e.Action
	}
	return e.Target.ID
}

// want compares the three looks with lists of names, separated by blanks: the
// ids of things, orders and visits, the journal's events in its order, the forwarded
// events in theirs.
func (w *world) want(rows, events, forwarded string) {
	w.Helper()
	if got := w.rows(); got != rows {
		w.Errorf("rows of the app: [%s], want [%s]", got, rows)
	}
	if got := w.journal(); got != events {
		w.Errorf("journal: [%s], want [%s]", got, events)
	}
	if got := w.sink.names(); got != forwarded {
		w.Errorf("forwarded: [%s], want [%s]", got, forwarded)
	}
}

// rows lists the app's rows as others see them.
func (w *world) rows() string {
	w.Helper()
	return w.list(`SELECT id FROM (SELECT id FROM things UNION ALL SELECT id FROM orders UNION ALL SELECT id FROM visits) AS r ORDER BY id`)
}

// journal lists the journal's events as others see them.
func (w *world) journal() string {
	w.Helper()
	if !w.hasJournal() {
		return ""
	}
	return w.list("SELECT CASE WHEN captured THEN action ELSE target_id END FROM " + w.journalView() + " ORDER BY key, ordinal")
}

// hasJournal is false on SQLite before the first event.
func (w *world) hasJournal() bool {
	w.Helper()
	return w.e.Dialect != hooks.SQLite || w.list("SELECT count(*) FROM sqlite_master WHERE name = 'aftercommit_journal'") == "1"
}

// journalTable has a row for each flush, and journalView one for each event.
func (w *world) journalTable() string {
	if w.e.Dialect == hooks.SQLite {
		return "aftercommit_journal"
	}
	return "aftercommit.journal"
}

func (w *world) journalView() string {
	if w.e.Dialect == hooks.SQLite {
		return "aftercommit_audit_events"
	}
	return "aftercommit.audit_events"
}

func (w *world) list(query string) string {
	w.Helper()
	rows, err := w.bare.QueryContext(ctx(), query)
	w.must(err)
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		w.must(rows.Scan(&name))
		names = append(names, name)
	}
	w.must(rows.Err())
	return strings.Join(names, " ")
}

// sink is the forwarder: it keeps what it gets.
type sink struct {
	// during is called in each Forward, before anything is kept.
	during func(ctx context.Context, entries []journal.Entry) error

	mu      sync.Mutex
	entries []journal.Entry
}

var _ forward.Forwarder = (*sink)(nil)

func (s *sink) Forward(ctx context.Context, entries []journal.Entry) error {
	if s.during != nil {
		if err := s.during(ctx, entries); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = append(s.entries, entries...)
	return nil
}

func (s *sink) got() []journal.Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.entries)
}

// names lists what was forwarded; an event that came again is marked.
func (s *sink) names() string {
	var names []string
	seen := map[uuid.UUID]bool{}
	for _, e := range s.got() {
		name := nameOf(e.Event)
		if seen[e.ID] {
			name += "(again)"
		}
		seen[e.ID] = true
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

func (s *sink) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = nil
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

func (o *notices) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = nil
}

// of returns the notices of a kind.
func (o *notices) of(kind hooks.NoticeKind) []hooks.Notice {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(o.list), func(n hooks.Notice) bool { return n.Kind != kind })
}

// wantNotice asks for at least one notice of a kind.
func (w *world) wantNotice(kind hooks.NoticeKind) {
	w.Helper()
	if len(w.told.of(kind)) == 0 {
		w.Errorf("no observer was told %q", kind)
	}
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

// kind describes an error as the app can tell it: its type and text.
func kind(err error) string {
	if err == nil {
		return "nil"
	}
	return fmt.Sprintf("%T: %v", err, err)
}

func typeOf(v any) string { return fmt.Sprintf("%T", v) }

// queries is what reads rows.
type queries interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// breakJournal makes writes to the journal fail under the running app.
func (w *world) breakJournal() {
	w.Helper()
	w.makeJournal()
	query := "ALTER TABLE aftercommit.journal RENAME TO gone"
	if w.e.Dialect == hooks.SQLite {
		query = "CREATE TRIGGER broken BEFORE INSERT ON aftercommit_journal BEGIN SELECT RAISE(ABORT, 'broken'); END"
	}
	w.must(w.bare.ExecContext(ctx(), query))
}

// makeJournal has the app make its journal, which is then empty.
func (w *world) makeJournal() {
	w.Helper()
	w.must(w.db.PingContext(ctx())) // so that the tables are there, and checked
	if !w.hasJournal() {
		w.must(hooks.Record(ctx(), w.db, named("first")))
		w.must(w.bare.ExecContext(ctx(), "DELETE FROM aftercommit_journal"))
		w.sink.forget()
		w.told.forget()
	}
}

// mendJournal undoes breakJournal.
func (w *world) mendJournal() {
	w.Helper()
	query := "ALTER TABLE aftercommit.gone RENAME TO journal"
	if w.e.Dialect == hooks.SQLite {
		query = "DROP TRIGGER broken"
	}
	w.must(w.bare.ExecContext(ctx(), query))
}
