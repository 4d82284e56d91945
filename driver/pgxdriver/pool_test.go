package pgxdriver_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/driver/pgxdriver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestSmallPools: the relay runs beside a pool of as many connections as the app
// itself holds, for one database and for two.
func TestSmallPools(t *testing.T) {
	for size := range int32(4) {
		for databases := range 2 {
			t.Run(fmt.Sprintf("%d connections, %d databases", size+1, databases+1), func(t *testing.T) {
				smallPool(t, size+1, databases+1)
			})
		}
	}
}

func smallPool(t *testing.T, size int32, databases int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // against a hang
	defer cancel()
	cfg, err := pgxpool.ParseConfig(dbtest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	var before, after atomic.Int32
	cfg.MaxConns = size
	cfg.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		c.RuntimeParams["application_name"] = "shop"
		before.Add(1)
		return nil
	}
	cfg.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		after.Add(1)
		return c.PgConn().Exec(ctx, "SET statement_timeout = '50s'").Close()
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	recorder := sqltest.NewRecorder()
	hub := forward.New(&forward.Options{Logger: zap.NewNop()})
	hub.Register(recorder, forward.Async)
	must := func(results ...any) {
		t.Helper()
		if err, ok := results[len(results)-1].(error); ok && err != nil {
			t.Fatal(err)
		}
	}
	var dbs []*sql.DB
	for range databases {
		db, err := pgxdriver.OpenDBFromPool(pool, hub, driver.Capture(driver.Tables("orders")))
		must(err)
		defer db.Close()
		dbs = append(dbs, db)
	}
	must(dbs[0].ExecContext(ctx, "CREATE TABLE orders (id bigint PRIMARY KEY)"))
	for i, db := range dbs {
		must(db.ExecContext(ctx, "INSERT INTO orders VALUES ($1)", i))
	}
	// The app has all that its pool gives out, and the relay works on.
	var held []*pgxpool.Conn
	for range size {
		c, err := pool.Acquire(ctx)
		must(err)
		held = append(held, c)
	}
	must(hub.Drain(ctx))
	for _, c := range held {
		c.Release()
	}
	want := []string{"schema.changed", "orders.inserted", "orders.inserted"}[:1+databases]
	recorder.Only(t, want...)
	var beside int
	must(dbs[0].QueryRowContext(ctx, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'shop'`).Scan(&beside))
	if n := int(pool.Stat().TotalConns()); beside <= n {
		t.Errorf("%d connections with the pool's settings, of which the pool has %d", beside, n)
	}
	must(hub.Close(ctx))
	pool.Close()
	if b, a := before.Load(), after.Load(); b != a {
		t.Errorf("BeforeConnect was called %d times, AfterConnect %d", b, a)
	}
}
