package river_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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
// bare, with the relay beside and with River beside, as ratios within one run:
//
//	go test ./forward/river -run - -bench . -benchtime 1x
func BenchmarkTransactions(b *testing.B) {
	for _, clients := range []int{1, 16} {
		b.Run(fmt.Sprint("clients=", clients), func(b *testing.B) {
			cluster := dbtest.Start(b, &dbtest.Options{Durable: true, Settings: []string{"shared_buffers=256MB", "autovacuum=on"}})
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
			bare, relay, queue := open("postgres"), audited(nil), audited(river.New(nil))
			const rounds, length = 4, 700 * time.Millisecond
			var rates [3]float64
			for range rounds {
				rates[0] += rate(b, clients, length, func() error { return order(bare, false) })
				rates[1] += rate(b, clients, length, func() error { return order(relay, true) })
				rates[2] += rate(b, clients, length, func() error { return order(queue, true) })
			}
			b.ReportMetric(rates[0]/rounds, "bare_tx/s")
			b.ReportMetric(rates[1]/rates[0], "relay/bare")
			b.ReportMetric(rates[2]/rates[0], "river/bare")
		})
	}
}

// order is one transaction.
func order(db *sql.DB, record bool) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var id int64
	if err := tx.QueryRowContext(ctx, "INSERT INTO orders (note) VALUES ('soon') RETURNING id").Scan(&id); err != nil {
		return err
	}
	for _, query := range []string{"UPDATE orders SET note = 'paid' WHERE id = %d", "UPDATE orders SET note = 'sent' WHERE id = %d"} {
		if _, err := tx.ExecContext(ctx, fmt.Sprintf(query, id)); err != nil {
			return err
		}
	}
	if record {
		if err := hooks.Record(ctx, tx, hooks.Event{Action: "order.placed", Target: hooks.Target{Type: "order", ID: fmt.Sprint(id)}}); err != nil {
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
