package river_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	riverqueue "github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/river"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(victimEnv) != "" {
		victim()
	}
	dbtest.Main(m)
}

var ctx = context.Background()

const forwarder = "river_test.sink/default"

// world is a database with River's tables, and a sink.
type world struct {
	*testing.T
	e     dbtest.Engine
	dsn   string
	bare  *sql.DB
	sink  *sink
	river *river.Options
	hub   *forward.Hub
	// capture says that the app's statements are events.
	capture bool
	// driver is the name that db was opened with.
	driver string
	db     *sql.DB
}

func each(t *testing.T, f func(w *world)) {
	t.Helper()
	eachOf(t, f)
}

func eachOf(t *testing.T, f func(w *world), engines ...dbtest.Engine) {
	t.Helper()
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		dsn := e.DSN(t)
		w := &world{T: t, e: e, dsn: dsn, bare: dbtest.Open(t, e.Driver, dsn), sink: &sink{}, river: quick()}
		w.must(w.bare.ExecContext(ctx, "CREATE TABLE orders (id integer PRIMARY KEY)"))
		w.must(river.Migrate(ctx, w.bare, e.Dialect, ""))
		f(w)
	}, engines...)
}

func (w *world) must(results ...any) {
	w.Helper()
	if err, ok := results[len(results)-1].(error); ok && err != nil {
		w.Fatal(err)
	}
}

// atOnce tries failed jobs again without a wait.
type atOnce struct{}

func (atOnce) NextRetry(*rivertype.JobRow) time.Time { return time.Now() }

func quick() *river.Options {
	return &river.Options{Config: &riverqueue.Config{
		FetchCooldown: time.Millisecond, FetchPollInterval: 5 * time.Millisecond, RetryPolicy: atOnce{}, TestOnly: true,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}}
}

// start starts an app whose sink is registered with d, and a River.
func (w *world) start(d forward.Dispatch, mode forward.RelayMode, opts ...forward.RegisterOption) {
	w.Helper()
	w.must(w.try(d, mode, opts...))
}

func (w *world) try(d forward.Dispatch, mode forward.RelayMode, opts ...forward.RegisterOption) error {
	w.Helper()
	return w.open(&forward.Options{Logger: zap.NewNop(), Relay: mode, Queue: river.New(w.river)}, d, opts...)
}

func (w *world) open(o *forward.Options, d forward.Dispatch, sinkOpts ...forward.RegisterOption) error {
	w.Helper()
	o.Observer = w.sink
	w.hub = forward.New(o)
	w.hub.Register(w.sink, d, sinkOpts...)
	w.driver = dbtest.Name(w.e.Driver)
	opts := []driver.Option{driver.WriteTimeout(dbtest.Patience)}
	if w.capture {
		opts = append(opts, driver.Capture(driver.Tables("orders")))
	}
	driver.Register(w.driver, w.e.Driver, w.hub, opts...)
	w.db = dbtest.Open(w, w.driver, w.dsn)
	return w.db.PingContext(ctx)
}

// work lets another process work the jobs until the test ends.
func (w *world) work() {
	w.Helper()
	conns := 0 // any number
	if w.e.Dialect == hooks.SQLite {
		conns = 1
	}
	w.workOver(conns)
}

// workOver is work over so many connections.
func (w *world) workOver(conns int) {
	w.Helper()
	w.Cleanup(w.startWork(conns))
}

// startWork lets another process work the jobs until stop.
func (w *world) startWork(conns int) (stop func()) {
	w.Helper()
	c, cancel := context.WithCancel(ctx)
	db := dbtest.Open(w, w.e.Driver, w.dsn)
	db.SetMaxOpenConns(conns)
	done := make(chan error, 1)
	hub := w.hub
	go func() { done <- hub.Work(c, db, w.e.Dialect) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			w.Error(err)
		}
	}
}

func (w *world) begin() *sql.Tx {
	w.Helper()
	tx, err := w.db.BeginTx(ctx, nil)
	w.must(err)
	w.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

// place places an order within tx, with its event.
func (w *world) place(tx *sql.Tx, id int) {
	w.Helper()
	w.must(tx.ExecContext(ctx, w.e.Rebind("INSERT INTO orders (id) VALUES (?)"), id))
	w.must(hooks.Record(ctx, tx, hooks.Event{Action: "order.placed", Target: hooks.Target{Type: "order", ID: fmt.Sprint(id)}}))
}

// commit places orders in one transaction.
func (w *world) commit(ids ...int) {
	w.Helper()
	tx := w.begin()
	for _, id := range ids {
		w.place(tx, id)
	}
	w.must(tx.Commit())
}

// journal is the journal's table.
func (w *world) journal() string {
	if w.e.Dialect == hooks.SQLite {
		return "aftercommit_journal"
	}
	return "aftercommit.journal"
}

// jobs returns each job's state and attempts, in the order of their ids.
func (w *world) jobs() string {
	w.Helper()
	rows, err := w.bare.QueryContext(ctx, "SELECT state, attempt FROM river_job ORDER BY id")
	w.must(err)
	defer func() { _ = rows.Close() }()
	var all []string
	for rows.Next() {
		var state string
		var attempt int
		w.must(rows.Scan(&state, &attempt))
		all = append(all, fmt.Sprint(state, " ", attempt))
	}
	w.must(rows.Err())
	return strings.Join(all, ", ")
}

// retry has all dead letters tried again, and checks how many these are.
func (w *world) retry(jobs int) {
	w.Helper()
	n, err := river.Retry(ctx, w.bare, w.e.Dialect, "", forwarder)
	w.must(err)
	if n != jobs {
		w.Errorf("%d jobs are retried, want %d", n, jobs)
	}
}

// attempting makes each job one that is in its first attempt, begun so long ago.
func (w *world) attempting(ago string) {
	w.Helper()
	w.must(w.bare.ExecContext(ctx, "UPDATE river_job SET state = 'running', attempt = 1, attempted_at = "+w.past(ago)))
}

// age makes it so long ago that the attempt at a job began.
func (w *world) age(ago string, job int) {
	w.Helper()
	w.must(w.bare.ExecContext(ctx, w.e.Rebind("UPDATE river_job SET attempted_at = "+w.past(ago)+" WHERE id = ?"), job))
}

func (w *world) past(ago string) string {
	if w.e.Dialect == hooks.Postgres {
		return "now() - interval '" + ago + "'"
	}
	return "datetime('now', '-" + ago + "')"
}

func (w *world) after(time string) string {
	if w.e.Dialect == hooks.Postgres {
		return "now() + interval '" + time + "'"
	}
	return "datetime('now', '" + time + "')"
}

func (w *world) untilJobs(want string) {
	w.Helper()
	w.until("jobs are "+want, func() bool { return w.jobs() == want }, w.jobs)
}

func (w *world) until(what string, ok func() bool, has func() string) {
	w.Helper()
	for deadline := time.Now().Add(dbtest.Patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("never: %s; there is %s", what, has())
		}
	}
}

// delivered checks each call of the sink, and its order.
func (w *world) delivered(calls string) {
	w.Helper()
	if got := w.sink.calls(); got != calls {
		w.Errorf("the sink was called with [%s], want [%s]", got, calls)
	}
}

// told checks how many events were told of with that kind, and the reason of
// the last such notice.
func (w *world) told(kind hooks.NoticeKind, events int, reason string) {
	w.Helper()
	n, last := w.sink.count(func(n hooks.Notice) bool { return n.Kind == kind && n.Dispatch == "async" })
	if n != events || last != reason {
		w.Errorf("%s was told of %d events with reason %q, want %d with %q", kind, n, last, events, reason)
	}
}

// sink takes entries as its answer says, and notices.
type sink struct {
	mu      sync.Mutex
	answer  func(ctx context.Context, call int, entries []journal.Entry) error
	got     []string
	notices []hooks.Notice
}

func (s *sink) Forward(ctx context.Context, entries []journal.Entry) error {
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.Target.ID
	}
	s.mu.Lock()
	s.got = append(s.got, strings.Join(ids, " "))
	call, answer := len(s.got), s.answer
	s.mu.Unlock()
	if answer == nil {
		return nil
	}
	return answer(ctx, call, entries)
}

// calls returns what each call had.
func (s *sink) calls() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.got, ", ")
}

// deliveries returns how many events were told to be delivered to a forwarder.
func (w *world) deliveries(forwarder string) int {
	n, _ := w.sink.count(func(n hooks.Notice) bool { return n.Kind == hooks.NoticeDelivered && n.Forwarder == forwarder })
	return n
}

// count returns how many events were told of by the notices that match, and the
// reason of the last.
func (s *sink) count(match func(hooks.Notice) bool) (n int, last string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.notices {
		if match(x) {
			n += max(1, x.Count)
			last = x.Reason
		}
	}
	return n, last
}

// Observe keeps n.
func (s *sink) Observe(n hooks.Notice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notices = append(s.notices, n)
}
