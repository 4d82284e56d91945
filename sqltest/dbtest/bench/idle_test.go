package bench

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// nowhere is a second sink beside the timeline.
type nowhere struct{}

func (nowhere) Forward(context.Context, []journal.Entry) error { return nil }

// timeline passes the timeline's notices on.
type timeline struct{ hooks.Observer }

// Observe implements hooks.Observer.
func (t timeline) Observe(n hooks.Notice) {
	if n.Forwarder == "threadline.Forwarder/default" {
		t.Observer.Observe(n)
	}
}

// BenchmarkIdle: what a fleet costs whose processes commit nothing, and how long a commit
// of any of them takes to the timeline. Each process has a Hub, a pool, the timeline and
// another sink.
func BenchmarkIdle(b *testing.B) {
	for _, processes := range []int{1, 30, 50} {
		b.Run(fmt.Sprintf("processes=%d", processes), func(b *testing.B) {
			w := newWorld(b)
			l := &latency{}
			l.reset()
			var fleet []*sql.DB
			for range processes {
				hub := forward.New(&forward.Options{Logger: zap.NewNop(), Observer: timeline{l}})
				hub.Register(threadline.NewForwarder(nil), forward.Auto)
				hub.Register(nowhere{}, forward.Auto)
				db := w.through(hub)
				db.SetMaxIdleConns(1)
				fleet = append(fleet, db)
			}
			time.Sleep(45 * time.Second) // for three leases new processes look more often
			took := 20 * time.Second
			if long() {
				took = 2 * time.Minute
			}
			rate, extra := w.idle(fleet, took)
			report(b, "transactions/s", rate)
			report(b, "extra connections", extra)
			l.reset()
			for range 60 {
				w.commitOne(fleet[rand.N(len(fleet))], l)
				time.Sleep(300*time.Millisecond + rand.N(700*time.Millisecond))
			}
			p50, p99, n := l.quantiles()
			if n < 50 {
				b.Logf("only %d of 60 commits were visible before the next one", n)
			}
			report(b, "p50 ms", p50)
			report(b, "p99 ms", p99)
		})
	}
}

// idle returns how many transactions a second the server counts, and how many connections
// there are beside the apps' on average.
func (w *world) idle(fleet []*sql.DB, d time.Duration) (rate, extra float64) {
	w.Helper()
	transactions := func() (n float64) {
		w.must(w.bare.QueryRowContext(ctx, "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()").Scan(&n))
		return n
	}
	w.bare.SetMaxIdleConns(1)
	before, start, looks := transactions(), time.Now(), 0.0
	for time.Since(start) < d {
		var conns int
		w.must(w.bare.QueryRowContext(ctx, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()").Scan(&conns))
		for _, db := range fleet {
			conns -= db.Stats().OpenConnections
		}
		extra += float64(conns)
		looks++
		time.Sleep(100 * time.Millisecond)
	}
	seconds := time.Since(start).Seconds()
	return (transactions() - before - looks - 1) / seconds, extra / looks
}

// commitOne commits a transaction with one event, and notes when.
func (w *world) commitOne(db *sql.DB, l *latency) {
	w.Helper()
	e, err := hooks.Prepare(hooks.Event{Action: "order.placed"})
	w.must(err)
	e.ID = uuid.Must(uuid.NewV7())
	tx, err := db.BeginTx(ctx, nil)
	w.must(err)
	defer tx.Rollback()
	_, err = tx.ExecContext(ctx, "INSERT INTO orders (customer, note) VALUES (7, 'x')")
	w.must(err)
	w.must(hooks.Record(ctx, tx, e))
	w.must(tx.Commit())
	l.committed(e.ID, time.Now())
}
