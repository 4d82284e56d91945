package bench

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

var ctx = context.Background()

func long() bool { return os.Getenv("AFTERCOMMIT_LONG") != "" }

// world is a database with an app's table.
type world struct {
	testing.TB
	e    dbtest.Engine
	dsn  string
	bare *sql.DB
}

// newWorld is a durable PostgreSQL with lib/pq.
func newWorld(b *testing.B) *world {
	b.Helper()
	return newWorldOf(b, dbtest.PQ, 0)
}

// newWorldOf is one of an engine. On PostgreSQL the server is durable, and delay
// is added to each round trip, unless it is zero.
func newWorldOf(tb testing.TB, e dbtest.Engine, delay time.Duration) *world {
	tb.Helper()
	w := &world{TB: tb, e: e}
	key := "bigint GENERATED ALWAYS AS IDENTITY"
	if e.Dialect == hooks.SQLite {
		w.dsn, key = e.DSN(tb), "integer"
	} else {
		cluster := dbtest.Start(tb, &dbtest.Options{Durable: true, Settings: []string{"shared_buffers=256MB", "max_connections=200", "autovacuum=on"}})
		w.dsn = cluster.DSN("postgres")
		if delay > 0 {
			proxy := dbtest.NewProxy(tb, cluster.Addr())
			proxy.Delay(delay)
			w.dsn = dbtest.Via(w.dsn, proxy.Addr())
		}
	}
	w.bare = w.open(e.Driver)
	w.exec("CREATE TABLE orders (id "+key+" PRIMARY KEY, customer bigint NOT NULL, note text NOT NULL, state text NOT NULL DEFAULT 'new')",
		"CREATE TABLE audit (id "+key+" PRIMARY KEY, at timestamp NOT NULL, actor text NOT NULL, action text NOT NULL, target text NOT NULL, data text)")
	return w
}

func (w *world) open(name string) *sql.DB {
	w.Helper()
	db := dbtest.Open(w, name, w.dsn)
	conns := 64
	if w.e.Dialect == hooks.SQLite {
		conns = 1 // writers would only wait for each other
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db
}

func (w *world) exec(queries ...string) {
	w.Helper()
	for _, q := range queries {
		if _, err := w.bare.ExecContext(ctx, q); err != nil {
			w.Fatalf("%s: %v", q, err)
		}
	}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// audited opens the database through the wrapper, with a timeline beside it.
func (w *world) audited(d forward.Dispatch, o hooks.Observer, opts ...driver.Option) (*sql.DB, *forward.Hub) {
	w.Helper()
	hub := forward.New(&forward.Options{Logger: zap.NewNop(), Observer: o})
	hub.Register(threadline.NewForwarder(nil), d)
	return w.through(hub, opts...), hub
}

// journaled opens the database through the wrapper, with the journal alone, as an
// app whose relay is another process.
func (w *world) journaled(opts ...driver.Option) *sql.DB {
	w.Helper()
	return w.through(forward.New(&forward.Options{Logger: zap.NewNop(), Relay: forward.RelayElsewhere}), opts...)
}

func (w *world) through(hub *forward.Hub, opts ...driver.Option) *sql.DB {
	w.Helper()
	name := dbtest.Name(w.e.Driver)
	w.e.Register(name, hub, opts...)
	db := w.open(name)
	w.must(db.PingContext(ctx))
	return db
}

// order is what an app does: three statements, and some events.
func (w *world) order(db *sql.DB, events int) error {
	return w.orderWith(db, func(tx *sql.Tx, id int64) error {
		for range events {
			if err := hooks.Record(ctx, tx, hooks.Event{Action: "order.placed", Target: hooks.Target{Type: "order", ID: fmt.Sprint(id)}}); err != nil {
				return err
			}
		}
		return nil
	})
}

// orderByHand is that of an app that writes an audit table itself.
func (w *world) orderByHand(db *sql.DB) error {
	return w.orderWith(db, func(tx *sql.Tx, id int64) error { return w.audit(tx, "order.placed", fmt.Sprint(id)) })
}

func (w *world) audit(tx *sql.Tx, action, target string) error {
	_, err := tx.ExecContext(ctx, w.e.Rebind("INSERT INTO audit (at, actor, action, target) VALUES (?, ?, ?, ?)"), time.Now(), "user:7", action, target)
	return err
}

func (w *world) orderWith(db *sql.DB, more func(tx *sql.Tx, id int64) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var id int64
	if err := tx.QueryRowContext(ctx, w.e.Rebind("INSERT INTO orders (customer, note) VALUES (?, ?) RETURNING id"), 7, "as soon as possible").Scan(&id); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, w.e.Rebind("UPDATE orders SET state = ? WHERE id = ?"), "paid", id); err != nil {
		return err
	}
	var n int
	if err := tx.QueryRowContext(ctx, w.e.Rebind("SELECT count(*) FROM orders WHERE id = ?"), id).Scan(&n); err != nil {
		return err
	}
	if err := more(tx, id); err != nil {
		return err
	}
	return tx.Commit()
}

// insert is one statement outside a transaction.
func (w *world) insert(db hooks.Handle) error {
	_, err := db.ExecContext(ctx, w.e.Rebind("INSERT INTO orders (customer, note) VALUES (?, ?)"), 7, "as soon as possible")
	return err
}

// insertByHand is that statement with a row in an audit table.
func (w *world) insertByHand(db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := w.insert(tx); err != nil {
		return err
	}
	if err := w.audit(tx, "orders.inserted", ""); err != nil {
		return err
	}
	return tx.Commit()
}

// rate runs f with some clients for a while and returns how often a second.
func (w *world) rate(clients int, d time.Duration, f func() error) float64 {
	w.Helper()
	var done atomic.Int64
	var group sync.WaitGroup
	start := time.Now()
	for range clients {
		group.Go(func() {
			for time.Since(start) < d {
				if err := f(); err != nil {
					w.Error(err)
					return
				}
				done.Add(1)
			}
		})
	}
	group.Wait()
	return float64(done.Load()) / time.Since(start).Seconds()
}

// alternate measures each of fs several times in turn and returns their rates.
func (w *world) alternate(clients int, fs ...func() error) []float64 {
	w.Helper()
	return w.turns(clients, 4, 700*time.Millisecond, fs...)
}

// turns lets each of fs have so many turns of a length.
func (w *world) turns(clients, n int, length time.Duration, fs ...func() error) []float64 {
	w.Helper()
	rates := make([]float64, len(fs))
	for range n {
		for i, f := range fs {
			rates[i] += w.rate(clients, length, f) / float64(n)
		}
	}
	return rates
}

// latency measures the time from a commit to its delivery.
type latency struct {
	mu      sync.Mutex
	commits map[uuid.UUID]time.Time
	early   map[uuid.UUID]time.Time // delivered before Commit has returned
	took    []time.Duration
}

// Observe notes when events were delivered.
func (l *latency) Observe(n hooks.Notice) {
	if n.Kind != hooks.NoticeDelivered {
		return
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range n.Events {
		if at, ok := l.commits[id]; ok {
			l.took = append(l.took, now.Sub(at))
			delete(l.commits, id)
		} else {
			l.early[id] = now
		}
	}
}

func (l *latency) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.commits, l.early, l.took = map[uuid.UUID]time.Time{}, map[uuid.UUID]time.Time{}, nil
}

func (l *latency) committed(id uuid.UUID, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if seen, ok := l.early[id]; ok {
		l.took = append(l.took, max(0, seen.Sub(at)))
		delete(l.early, id)
		return
	}
	l.commits[id] = at
}

// quantiles returns the median and the 99th percentile in milliseconds.
func (l *latency) quantiles() (p50, p99 float64, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.took)
	if len(l.took) == 0 {
		return 0, 0, 0
	}
	at := func(q float64) float64 {
		return float64(l.took[int(q*float64(len(l.took)-1))].Microseconds()) / 1000
	}
	return at(0.5), at(0.99), len(l.took)
}

// flushed is how many entries a row of fill has.
const flushed = 10

// fill makes n entries of the journal, in transactions of part entries.
func (w *world) fill(n, part int) {
	w.Helper()
	conn, err := w.bare.Conn(ctx)
	w.must(err)
	defer conn.Close()
	const uuid7 = "(lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 3) || '8' || substr(md5(random()::text), 1, 15))::uuid"
	for _, query := range []string{
		"SET synchronous_commit = off",
		fmt.Sprintf(`DO $fill$ BEGIN
			FOR part IN 1..%d LOOP
				INSERT INTO aftercommit.journal (key, role, events, format, document)
				SELECT %s, 'app', count(*), 1, json_agg(json_build_object('id', %[2]s, 'occurred_at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
					'action', 'order.placed', 'outcome', 'success', 'actor', json_build_object('type', 'user', 'id', 'u' || g), 'target', json_build_object('type', 'order', 'id', g::text)))::text
				FROM generate_series(1, %[3]d) g GROUP BY (g - 1) / %[4]d;
				COMMIT;
			END LOOP;
		END $fill$`, n/part, uuid7, part, flushed),
		"RESET synchronous_commit",
	} {
		_, err := conn.ExecContext(ctx, query)
		w.must(err)
	}
	w.exec("ANALYZE aftercommit.journal")
}

func report(b *testing.B, name string, v float64) {
	b.Helper()
	b.ReportMetric(v, strings.ReplaceAll(name, " ", "_"))
}
