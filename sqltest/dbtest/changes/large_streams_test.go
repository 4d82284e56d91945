package changes_test

import (
	"context"
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// TestLargeStreams: what reads a transaction from its first change to its last has a part of it in memory, however large it is: the trail,
// a bundle, a follower, and a forwarder that gets row changes.
func TestLargeStreams(t *testing.T) {
	n, length := 20_000, 1500
	if long() {
		n, length = 1_000_000, 100
	}
	with(t, func(w *world) {
		counted := &countingForwarder{}
		hub := forward.New(&forward.Options{Logger: zap.NewNop(), Timeout: dbtest.Patience})
		hub.Register(counted, forward.Async, forward.WithChanges(changes.NewSource(nil)))
		name := dbtest.Name(w.e.Driver)
		driver.Register(name, w.e.Driver, hub, driver.Capture(driver.AllTables()), driver.WriteTimeout(dbtest.Patience))
		w.must(threadline.NewStore(w.db, hooks.Postgres, nil).Migrate(ctx))
		w.exec("CREATE TABLE t (id int PRIMARY KEY, note text)")
		w.capture(capture.Table{Name: "t"})
		app := dbtest.Open(t, name, w.dsn)
		w.must(app.PingContext(ctx))
		w.must(hub.Drain(ctx)) // it is registered
		w.exec(fmt.Sprintf("INSERT INTO t SELECT n, repeat('x', %d) FROM generate_series(1, %d) n", length, n))
		large := w.transactionOf(n)

		w.wantLive("a forwarder", n, func() int {
			patient, cancel := context.WithTimeout(ctx, 10*dbtest.Patience)
			defer cancel()
			w.must(hub.Drain(patient))
			return int(counted.changes.Load())
		})
		w.must(app.Close())
		w.must(hub.Close(ctx))

		engines := dbtest.PostgresEngines()
		if !long() {
			engines = engines[:1]
		}
		for _, e := range engines {
			w.Run(e.Name, func(t *testing.T) {
				is := &world{T: t, db: dbtest.Open(t, e.Driver, w.dsn), dsn: w.dsn}
				is.store = changes.NewStore(is.db, hooks.Postgres, nil)
				is.stream(large, n)
			})
		}
	}, dbtest.PQ)
}

// stream reads a transaction of n changes in each way.
func (w *world) stream(large journal.TxKey, n int) {
	w.Helper()
	reader := trail.NewReader(threadline.NewStore(w.db, hooks.Postgres, nil), w.store)
	count := 0
	w.wantLive("the trail", n, func() int {
		count = 0
		for item, err := range reader.Each(ctx, trail.Query{Tables: []string{"t"}}) {
			w.must(err)
			if item.Change != nil {
				count++
			}
		}
		return count
	})
	w.wantLive("a bundle", n, func() int {
		end, err := reader.WriteBundle(ctx, &nowhere{}, trail.Query{Tx: large})
		w.must(err)
		return end.Changes
	})
	w.wantLive("a follower", n, func() int {
		count = 0
		q := changes.Query{OldestFirst: true, Limit: changes.MaxLimit}
		for {
			page := w.page(q)
			count += len(page.Changes)
			if page.Next == "" {
				return count
			}
			q.Cursor = page.Next
		}
	})
}

// countingForwarder is a forwarder that counts row changes.
type countingForwarder struct{ changes atomic.Int64 }

func (c *countingForwarder) Forward(_ context.Context, entries []journal.Entry) error {
	for i := range entries {
		if entries[i].Change != nil {
			c.changes.Add(1)
		}
	}
	return nil
}

// nowhere keeps nothing.
type nowhere struct{}

func (*nowhere) Write(p []byte) (int, error) { return len(p), nil }

// wantLive wants read to read n changes, and never to have many of them in memory. It looks at what is left whenever garbage has been
// collected.
func (w *world) wantLive(what string, n int, read func() int) {
	w.Helper()
	runtime.GC()
	first := live()
	var most atomic.Uint64
	var done atomic.Bool
	var watch func(*[16]byte)
	watch = func(*[16]byte) {
		if done.Load() {
			return
		}
		most.Store(max(most.Load(), live()))
		runtime.SetFinalizer(new([16]byte), watch)
	}
	watch(nil)
	got := read()
	done.Store(true)
	if got != n {
		w.Errorf("%s has %d changes, want %d", what, got, n)
	}
	used := int64(most.Load()) - int64(first)
	w.Logf("%s: %.1f MiB", what, float64(used)/(1<<20))
	if used > 24<<20 {
		w.Errorf("%s has %d bytes in memory", what, used)
	}
}

// live is how much of the heap was in use when garbage was collected last.
func live() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
