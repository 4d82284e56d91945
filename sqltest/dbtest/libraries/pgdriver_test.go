package libraries_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/uptrace/bun/driver/pgdriver"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestPgdriver wraps bun's own driver, which is not recognised, and whose rows
// forget their columns with the last of them.
func TestPgdriver(t *testing.T) {
	w := withOrders(t, dbtest.PQ)
	hub := forward.New(&forward.Options{Logger: zap.NewNop(), Relay: forward.RelayOff})
	recorder := sqltest.NewRecorder()
	hub.Register(recorder, forward.Sync)
	base := pgdriverOf(w.dsn)
	c, err := driver.WrapConnector(base, hub, driver.WithDialect(hooks.Postgres), driver.Capture(driver.AllTables()))
	w.ok(err)
	db := sql.OpenDB(c)
	t.Cleanup(func() { _ = db.Close() })

	ctx := t.Context()
	var id int64
	var note string
	const insert = "INSERT INTO orders (id, note) VALUES ($1, $2) RETURNING id, note"
	w.ok(db.QueryRowContext(ctx, insert, 1, "a").Scan(&id, &note))
	if id != 1 || note != "a" {
		t.Errorf("autocommit: %d %q returned", id, note)
	}
	tx, err := db.BeginTx(ctx, nil)
	w.ok(err)
	w.ok(tx.QueryRowContext(ctx, insert, 2, "b").Scan(&id, &note))
	if id != 2 || note != "b" {
		t.Errorf("in a transaction: %d %q returned", id, note)
	}
	w.ok(tx.Commit())

	for _, reader := range []*sql.DB{sql.OpenDB(base), db} {
		rows, err := reader.QueryContext(ctx, "UPDATE orders SET note = note || 'x' RETURNING id, note")
		w.ok(err)
		got := ""
		for rows.Next() {
			w.ok(rows.Scan(&id, &note))
			got += fmt.Sprint(id, note, " ")
		}
		w.ok(rows.Err())
		w.ok(rows.Close())
		if !strings.HasPrefix(got, "1ax") {
			t.Errorf("rows %q", got)
		}
	}
	if err := db.QueryRowContext(ctx, insert, 1, "a").Scan(&id, &note); err == nil || !strings.Contains(err.Error(), "23505") {
		t.Errorf("a duplicate: %v", err)
	}
	recorder.Only(t, "orders.inserted", "orders.inserted", "orders.updated")
}

// pgdriverOf opens lib/pq's DSN, which names a socket's folder.
func pgdriverOf(dsn string) *pgdriver.Connector {
	is := map[string]string{}
	for pair := range strings.FieldsSeq(dsn) {
		key, value, _ := strings.Cut(pair, "=")
		is[key] = value
	}
	return pgdriver.NewConnector(pgdriver.WithNetwork("unix"), pgdriver.WithInsecure(true),
		pgdriver.WithAddr(is["host"]+"/.s.PGSQL."+is["port"]),
		pgdriver.WithUser(is["user"]), pgdriver.WithDatabase(is["dbname"]))
}
