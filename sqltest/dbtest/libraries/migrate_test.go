package libraries_test

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	migratepq "github.com/golang-migrate/migrate/v4/database/postgres"
	migratesqlite "github.com/golang-migrate/migrate/v4/database/sqlite"
	"github.com/golang-migrate/migrate/v4/source/iofs"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

var migrateFiles = files("1_orders.up.sql", `
CREATE TABLE orders (id integer PRIMARY KEY, note text NOT NULL);
INSERT INTO orders VALUES (1, 'apples'), (2, 'pears');
`, "1_orders.down.sql", `
DROP TABLE orders;
`, "2_gift.up.sql", `
ALTER TABLE orders ADD COLUMN gift boolean;
UPDATE orders SET gift = false;
`, "2_gift.down.sql", `
ALTER TABLE orders DROP COLUMN gift;
`)

// openMigrate is golang-migrate on an open database, which it takes: its Close
// closes the database, too.
func openMigrate(w *world, db *sql.DB, folder fs.FS) *migrate.Migrate {
	w.Helper()
	var target database.Driver
	var err error
	switch w.e.Name {
	case dbtest.PQ.Name:
		target, err = migratepq.WithInstance(db, &migratepq.Config{})
	case dbtest.PGX.Name:
		target, err = migratepgx.WithInstance(db, &migratepgx.Config{})
	default:
		target, err = migratesqlite.WithInstance(db, &migratesqlite.Config{})
	}
	w.ok(err)
	source, err := iofs.New(folder, ".")
	w.ok(err)
	m, err := migrate.NewWithInstance("iofs", source, w.name, target)
	w.ok(err)
	w.Cleanup(func() { _, _ = m.Close() })
	return m
}

// TestMigrate migrates up and down through the wrapper. A file is one string of
// several statements, whose rows PostgreSQL's drivers do not count one by one, on
// a connection that holds an advisory lock.
func TestMigrate(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		m := openMigrate(w, w.open(), migrateFiles)
		w.ok(m.Up())
		rows := ""
		if e.Name == dbtest.SQLite.Name {
			rows = " 2"
		}
		w.want("schema.changed #orders", "orders.inserted"+rows, "schema.changed #orders", "orders.updated"+rows)
		if err := m.Up(); !errors.Is(err, migrate.ErrNoChange) {
			t.Errorf("Up again: %v", err)
		}
		w.ok(m.Down())
		w.want("schema.changed #orders", "schema.changed #orders")
	})
}

// TestMigrateBeside migrates with the bare driver while the app is at work.
func TestMigrateBeside(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		m := openMigrate(w, dbtest.Open(t, e.Driver, w.dsn), migrateFiles)
		w.ok(m.Steps(1))
		app := w.open()
		w.exec(app, "INSERT INTO orders (id, note) VALUES (3, 'plums')")
		w.want("orders.inserted 1")
		w.ok(m.Up())
		w.want()
		w.exec(app, "UPDATE orders SET gift = true")
		w.want("orders.updated 3")
	})
}

// TestMigrateControls runs a file with a transaction of its own, as they are
// written for PostgreSQL: its rows are there, and are counted as uncaptured.
func TestMigrateControls(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := withOrders(t, e)
		m := openMigrate(w, w.open(), files("1_fill.up.sql", `
BEGIN;
INSERT INTO orders (note) VALUES ('apples');
COMMIT;
`))
		w.ok(m.Up())
		w.want()
		if w.uncaptured.Load() == 0 {
			t.Error("nobody was told of the rows")
		}
		w.wantOrders("apples")
	}, dbtest.PostgresEngines()...)
}

// TestMigrateFails has a file fail halfway. The version is marked as dirty, and
// where the file has begun a transaction, golang-migrate is stuck in it: as with
// the bare driver.
func TestMigrateFails(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		for name, begin := range map[string]string{"plain": "", "in a transaction": "BEGIN;"} {
			t.Run(name, func(t *testing.T) {
				w := withOrders(t, e)
				folder := files("1_wrong.up.sql", begin+"INSERT INTO orders (note) VALUES ('pears'); INSERT INTO nowhere VALUES (1);")
				m, bare := openMigrate(w, w.open(), folder), openMigrate(w, dbtest.Open(t, e.Driver, w.dsn), folder)
				w.wantRefusal(m.Up(), "nowhere")
				version, dirty, err := m.Version()
				w.want()
				w.wantOrders()

				w.ok(closeMigrate(m))
				w.exec(w.bare, "DELETE FROM schema_migrations")
				w.wantRefusal(bare.Up(), "nowhere")
				bareVersion, bareDirty, bareErr := bare.Version()
				if version != bareVersion || dirty != bareDirty || fmt.Sprint(err) != fmt.Sprint(bareErr) {
					t.Errorf("version %d, dirty %t, %v; with the bare driver %d, %t, %v", version, dirty, err, bareVersion, bareDirty, bareErr)
				}
			})
		}
	}, dbtest.PostgresEngines()...)
}

// closeMigrate gives the lock back, which a failure may have left taken.
func closeMigrate(m *migrate.Migrate) error { return errors.Join(m.Close()) }

// TestMigrateTwice has two processes of an app start at once: the advisory lock
// lets one migrate.
func TestMigrateTwice(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		one, two := openMigrate(w, w.open(), migrateFiles), openMigrate(w, w.open(), migrateFiles)
		done := make(chan error)
		for _, m := range []*migrate.Migrate{one, two} {
			go func() { done <- m.Up() }()
		}
		first, second := <-done, <-done
		if err := errors.Join(first, second); !errors.Is(err, migrate.ErrNoChange) || first != nil && second != nil {
			t.Errorf("one says %v, the other %v", first, second)
		}
		w.want("schema.changed #orders", "orders.inserted", "schema.changed #orders", "orders.updated")
	}, dbtest.PostgresEngines()...)
}
