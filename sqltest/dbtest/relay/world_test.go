// Package relay_test runs the relay against real databases.
package relay_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		play(role)
	}
	dbtest.Main(m)
}

var ctx = context.Background()

const name = "sink/default"

// world is a database with a journal, a sink, and relays over it.
type world struct {
	*testing.T
	e     dbtest.Engine
	dsn   string
	db    *sql.DB
	j     *journal.Journal
	store *relay.Store
	sink  *sink
	clock *clock
}

func newWorld(t *testing.T, e dbtest.Engine) *world {
	t.Helper()
	return worldAt(t, e, e.DSN(t), nil)
}

func worldAt(t *testing.T, e dbtest.Engine, dsn string, o *relay.Options) *world {
	t.Helper()
	w := &world{T: t, e: e, dsn: dsn, sink: &sink{}, clock: &clock{now: time.Now()}}
	w.db = dbtest.Open(t, e.Driver, w.dsn)
	var err error
	w.j, err = journal.New(e.Dialect, nil)
	w.must(err)
	w.until("its tables are made", func() bool {
		err = w.j.Connect(ctx, w.one())
		if errors.Is(err, driver.ErrBadConn) { // the server ends a migration that stands still
			return false
		}
		w.must(err)
		return true
	})
	w.store, err = relay.New(e.Dialect, o)
	w.must(err)
	w.must(w.store.Register(ctx, w.db, name))
	return w
}

// one is a database of one connection, as journal.Connect wants it.
func (w *world) one() *sql.DB {
	db := dbtest.Open(w.T, w.e.Driver, w.dsn)
	db.SetMaxOpenConns(1)
	return db
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// lasting is for leases that are not to run out, and calls that are not to take too
// long, though the machine may stand still. What waits for both to end has the patience.
const lasting = 40 * time.Second

// start starts a relay, which is stopped when the test ends.
func (w *world) start(cfg relay.Config) *relay.Relay {
	w.Helper()
	if cfg.Targets == nil {
		cfg.Targets = []relay.Target{w.target()}
	}
	if cfg.Lease == 0 {
		cfg.Lease = lasting
	}
	cfg.Notify, cfg.Clock = w.sink.observe, w.clock
	cfg.Log = zap.NewNop()
	r := relay.Start(w.store, w.db, cfg)
	w.Cleanup(func() {
		c, cancel := context.WithTimeout(ctx, dbtest.Patience) // for sinks that wait for their context
		defer cancel()
		w.must(r.Stop(c))
	})
	return r
}

func (w *world) target() relay.Target {
	return relay.Target{Name: name, MaxAttempts: 5, Timeout: lasting, Deliver: w.sink.deliver}
}

// drain waits until r has nothing to do.
func (w *world) drain(r *relay.Relay) {
	w.Helper()
	patience := dbtest.Patience
	if long() {
		patience = time.Hour // for what a million transactions have left
	}
	c, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	w.must(r.Drain(c))
}

// tx is a transaction that records events.
type tx struct {
	w    *world
	conn *sql.Conn
}

func (w *world) begin() *tx {
	w.Helper()
	conn, err := w.db.Conn(ctx)
	w.must(err)
	t := &tx{w, conn}
	t.exec(begin(w.e))
	return t
}

func begin(e dbtest.Engine) string {
	if e.Dialect == hooks.SQLite {
		return "BEGIN IMMEDIATE"
	}
	return "BEGIN"
}

func (t *tx) exec(query string) {
	t.w.Helper()
	if _, err := t.conn.ExecContext(ctx, query); err != nil {
		t.w.Fatalf("%s: %v", query, err)
	}
}

// record writes events with these names.
func (t *tx) record(names ...string) {
	t.w.Helper()
	t.recordAs(key(), names...)
}

// recordAs is record with the key of a client whose clock is another.
func (t *tx) recordAs(key uuid.UUID, names ...string) {
	t.w.Helper()
	events := make([]hooks.Event, len(names))
	for i, n := range names {
		events[i] = event(n)
	}
	t.write(key, events...)
}

// write writes events as a row with a key.
func (t *tx) write(key uuid.UUID, events ...hooks.Event) {
	t.w.Helper()
	_, lent := relay.LendWithin(t.conn, func(db *sql.DB) bool {
		ok, err := t.w.j.Write(ctx, hooks.Flush{Conn: sqltest.Lent(db), Events: events, Key: key, Must: true, Timeout: dbtest.Patience})
		if err != nil || !ok {
			t.w.Fatalf("Write = %v, %v", ok, err)
		}
		return false
	})
	t.w.must(lent)
}

// key is one for a flush.
func key() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// place is a position as a text that sorts.
func place(e *journal.Entry) string { return fmt.Sprintf("%s/%04d", e.Key, e.Ordinal) }

func event(name string) hooks.Event {
	e, err := hooks.Prepare(hooks.Event{Action: "thing.happened", Target: hooks.Target{Type: "thing", ID: name}})
	if err != nil {
		panic(err)
	}
	return e
}

func (t *tx) commit() {
	t.w.Helper()
	t.exec("COMMIT")
	t.w.must(t.conn.Close())
}

// commit records events in a transaction of their own.
func (w *world) commit(names ...string) {
	w.Helper()
	t := w.begin()
	t.record(names...)
	t.commit()
}

// sink is what the relay delivers to.
type sink struct {
	mu      sync.Mutex
	calls   int
	got     []string
	notices []hooks.Notice
	// refuse says what is wrong with an entry, or with all.
	refuse func(name string) error
	whole  error
}

var errTransient = errors.New("it may pass")

type permanent struct{ error }

func (s *sink) deliver(_ context.Context, _ *sql.DB, entries []journal.Entry) (r relay.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.whole != nil {
		return relay.Result{Err: failure(s.whole)}
	}
	for _, e := range entries {
		if s.refuse != nil {
			if err := s.refuse(e.Target.ID); err != nil {
				return relay.Result{Err: failure(err)} // one bad entry spoils the call
			}
		}
	}
	for _, e := range entries {
		s.got = append(s.got, e.Target.ID)
	}
	return r
}

func failure(err error) *relay.Failure {
	_, p := err.(permanent) //nolint:errorlint // as it was made
	return &relay.Failure{Reason: "error", Permanent: p, Err: err}
}

func (s *sink) set(f func(s *sink)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

func (s *sink) observe(n hooks.Notice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notices = append(s.notices, n)
}

func (s *sink) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.got, " ")
}

// told returns the notices of a kind, as "reason attempt", one for each event.
func (s *sink) told(kind hooks.NoticeKind) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var told []string
	for _, n := range s.notices {
		if n.Kind == kind {
			for range max(1, len(n.Events)) {
				told = append(told, fmt.Sprintf("%s %d", n.Reason, n.Attempt))
			}
		}
	}
	return told
}

func (w *world) want(got string) {
	w.Helper()
	if all := w.sink.all(); all != got {
		w.Errorf("delivered [%s], want [%s]", all, got)
	}
}

// until waits for a condition that other goroutines bring about.
func (w *world) until(what string, ok func() bool) {
	w.Helper()
	deadline := time.Now().Add(dbtest.Patience)
	for !ok() {
		if time.Now().After(deadline) {
			states, err := w.store.States(ctx, w.db)
			w.Fatalf("never: %s; delivered [%s]; as of now %+v, %v", what, w.sink.all(), states, err)
		}
		time.Sleep(time.Millisecond)
	}
}

// clock is moved by hand. Waits on it are short, so that what waits looks again.
type clock struct {
	mu    sync.Mutex
	now   time.Time
	waits int
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) After(time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waits++
	return time.After(time.Millisecond)
}

// ticks waits until a relay has looked n times and found nothing. One without a lease looks by
// a heartbeat.
func (w *world) ticks(n int) {
	w.Helper()
	waits := func() int {
		w.clock.mu.Lock()
		defer w.clock.mu.Unlock()
		return w.clock.waits
	}
	before, beats, since := waits(), 0, w.now()
	w.until("the relay has looked again", func() bool {
		if waits() >= before+n {
			return true
		}
		if w.e.Dialect != hooks.Postgres {
			return false
		}
		var all bool // have sent a heartbeat
		w.must(w.db.QueryRowContext(ctx, "SELECT coalesce(min(seen_at) > '"+since+"', false) FROM aftercommit.workers WHERE seen_at <= clock_timestamp()").Scan(&all))
		if all {
			beats, since = beats+1, w.now()
		}
		return beats == 2
	})
}

// now is the time of the database, on PostgreSQL.
func (w *world) now() (now string) {
	w.Helper()
	if w.e.Dialect == hooks.Postgres {
		w.must(w.db.QueryRowContext(ctx, "SELECT clock_timestamp()::text").Scan(&now))
	}
	return now
}

// contains reports whether a list of names, as all returns it, has name.
func contains(all, name string) bool { return strings.Contains(" "+all+" ", " "+name+" ") }

func (c *clock) set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// failed returns the ids of what has failed, by name of the event.
func (w *world) failures(discarded bool) []relay.Failed {
	w.Helper()
	f, err := w.store.Failures(ctx, w.db, name, discarded, 0)
	w.must(err)
	return f
}
