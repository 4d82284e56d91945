package river_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	riverqueue "github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/river"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

type devNull struct{}

func (devNull) Forward(context.Context, []journal.Entry) error { return nil }

// BenchmarkTransactions: an app's transactions of three statements and an event,
// bare, with the relay beside, with River beside, and with an app's own River
// job in place of the event, as ratios within one run:
//
//	go test ./forward/river -run - -bench . -benchtime 1x
func BenchmarkTransactions(b *testing.B) {
	for _, clients := range []int{1, 16, 64} {
		b.Run(fmt.Sprint("clients=", clients), func(b *testing.B) {
			cluster := dbtest.Start(b, &dbtest.Options{Durable: true, Settings: []string{"shared_buffers=256MB", "max_connections=400", "autovacuum=on"}})
			// Each in a database of its own, because a relay delivers all that
			// is in a journal.
			open := func(name string) *sql.DB {
				dsn := cluster.Database(b)
				base := dbtest.Open(b, "postgres", dsn)
				if _, err := base.ExecContext(ctx, "CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text NOT NULL)"); err != nil {
					b.Fatal(err)
				}
				if err := river.Migrate(ctx, base, hooks.Postgres, ""); err != nil {
					b.Fatal(err)
				}
				db := dbtest.Open(b, name, dsn)
				db.SetMaxOpenConns(clients)
				db.SetMaxIdleConns(clients)
				return db
			}
			audited := func(q forward.Queue) *sql.DB {
				hub := forward.New(&forward.Options{Logger: zap.NewNop(), Queue: q})
				hub.Register(devNull{}, forward.Async)
				name := dbtest.Name("postgres")
				driver.Register(name, "postgres", hub)
				return open(name)
			}
			bare, relay, queue, hand := open("postgres"), audited(nil), audited(river.New(nil)), open("postgres")
			enqueue := handmade(b, hand)
			record := func(tx *sql.Tx, id int64) error {
				return hooks.Record(ctx, tx, hooks.Event{Action: "order.placed", Target: hooks.Target{Type: "order", ID: fmt.Sprint(id)}})
			}
			const rounds, length = 4, 700 * time.Millisecond
			var rates [4]float64
			for range rounds {
				for i, f := range []func() error{
					func() error { return order(bare, nil) },
					func() error { return order(relay, record) },
					func() error { return order(queue, record) },
					func() error { return order(hand, enqueue) },
				} {
					rates[i] += rate(b, clients, length, f)
				}
			}
			b.ReportMetric(rates[0]/rounds, "bare_tx/s")
			for i, name := range []string{"relay/bare", "river/bare", "own_job/bare"} {
				b.ReportMetric(rates[i+1]/rates[0], name)
			}
		})
	}
}

// placed is a job that an app enqueues by itself.
type placed struct {
	Order int64 `json:"order"`
}

// Kind implements River's JobArgs.
func (placed) Kind() string { return "placed" }

type placer struct {
	riverqueue.WorkerDefaults[placed]
}

// Work does nothing.
func (placer) Work(context.Context, *riverqueue.Job[placed]) error { return nil }

// handmade starts an app's own River, and returns what enqueues a job.
func handmade(b *testing.B, db *sql.DB) func(tx *sql.Tx, id int64) error {
	b.Helper()
	config := &riverqueue.Config{
		Logger: slog.New(slog.DiscardHandler), Workers: riverqueue.NewWorkers(),
		Queues: map[string]riverqueue.QueueConfig{riverqueue.QueueDefault: {MaxWorkers: 10}},
	}
	riverqueue.AddWorker(config.Workers, &placer{})
	client, err := riverqueue.NewClient(riverdatabasesql.New(db), config)
	if err != nil {
		b.Fatal(err)
	}
	if err := client.Start(ctx); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = client.StopAndCancel(ctx) })
	return func(tx *sql.Tx, id int64) error {
		_, err := client.InsertTx(ctx, tx, placed{id}, nil)
		return err
	}
}

// order is one transaction, with something more in it, unless that is nil.
func order(db *sql.DB, more func(tx *sql.Tx, id int64) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var id int64
	if err := tx.QueryRowContext(ctx, "INSERT INTO orders (note) VALUES ($1) RETURNING id", "soon").Scan(&id); err != nil {
		return err
	}
	for _, note := range []string{"paid", "sent"} {
		if _, err := tx.ExecContext(ctx, "UPDATE orders SET note = $1 WHERE id = $2", note, id); err != nil {
			return err
		}
	}
	if more != nil {
		if err := more(tx, id); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// rate runs f with some clients for a while and returns how often a second.
func rate(b *testing.B, clients int, d time.Duration, f func() error) float64 {
	b.Helper()
	var done atomic.Int64
	var group sync.WaitGroup
	start := time.Now()
	for range clients {
		group.Go(func() {
			for time.Since(start) < d {
				if err := f(); err != nil {
					b.Error(err)
					return
				}
				done.Add(1)
			}
		})
	}
	group.Wait()
	return float64(done.Load()) / time.Since(start).Seconds()
}
