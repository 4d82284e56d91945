package capture_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

type tenant struct{}

// TestForgetNames: pgx chooses the tenant when the pool hands a connection out.
func TestForgetNames(t *testing.T) {
	w := newHub(t, dbtest.PGX, dbtest.PGX.DSN(t))
	w.setUp("CREATE SCHEMA t1; CREATE SCHEMA t2; CREATE TABLE t1.orders (id int PRIMARY KEY); CREATE TABLE t2.orders (id int PRIMARY KEY)")
	cfg, err := pgx.ParseConfig(w.dsn)
	w.must(err)
	base := stdlib.GetConnector(*cfg, stdlib.OptionResetSession(func(ctx context.Context, c *pgx.Conn) error {
		name, _ := ctx.Value(tenant{}).(string)
		return c.QueryRow(ctx, "SELECT set_config('search_path', $1, false)", name).Scan(&name)
	}))
	connector, err := driver.WrapConnector(base, w.hub, driver.Capture(driver.AllTables()), driver.ForgetNames())
	w.must(err)
	w.db = sql.OpenDB(connector)
	t.Cleanup(func() { _ = w.db.Close() })
	w.db.SetMaxOpenConns(1)
	w.must(w.db.PingContext(ctx()))
	for i, name := range []string{"t1", "t2", "t2", "t1"} {
		_, err := w.db.ExecContext(context.WithValue(ctx(), tenant{}, name), "INSERT INTO orders (id) VALUES ($1)", i)
		w.must(err)
		w.wantAfter(name, fmt.Sprintf("%s.orders.inserted %s.orders#%d statements=1 rows=1", name, name, i))
	}
}
