package libraries_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jmoiron/sqlx"
	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest/libraries/ent"
)

// TestForgottenImport registers a wrapper of a driver that is not linked in.
func TestForgottenImport(t *testing.T) {
	name := dbtest.Name("mysql")
	driver.Register(name, "mysql", forward.New(nil))
	_, err := sql.Open(name, "")
	wantText(t, err, name, `unknown driver "mysql" (forgotten import?)`)
	_, err = sqlx.Open(name, "")
	wantText(t, err, name, `unknown driver "mysql" (forgotten import?)`)
}

// TestForgottenRegistration opens a name that no init has registered.
func TestForgottenRegistration(t *testing.T) {
	_, err := gorm.Open(postgres.New(postgres.Config{DriverName: "postgres-never-registered", DSN: "host=nowhere"}), &gorm.Config{})
	wantText(t, err, `unknown driver "postgres-never-registered" (forgotten import?)`)
}

// TestBareDriver records where the driver's name was not swapped: each library
// hands on the error that says so.
func TestBareDriver(t *testing.T) {
	w := withOrders(t, dbtest.PQ)
	g := openGORM(w, postgres.New(postgres.Config{DriverName: "postgres", DSN: w.dsn}), &gorm.Config{})
	fast := openGORM(w, postgres.New(postgres.Config{DriverName: "postgres", DSN: w.dsn}), &gorm.Config{PrepareStmt: true})
	client, err := ent.Open(dialect.Postgres, w.dsn)
	w.ok(err)
	t.Cleanup(func() { _ = client.Close() })
	for name, l := range map[string]library{
		"gorm": gormLibrary(g), "gorm, prepared": gormLibrary(fast), "ent": entLibrary(client),
		"bun":  {db: bunSession(bun.NewDB(w.bare, pgdialect.New()))},
		"sqlx": {db: sqlxSession(sqlx.NewDb(w.bare, "postgres"))},
	} {
		err := record(t.Context(), l.db.handle, "a")
		if !errors.Is(err, hooks.ErrNotWrapped) {
			t.Errorf("%s: Record says %v, want %v", name, err, hooks.ErrNotWrapped)
		}
		if l.transact == nil {
			continue
		}
		err = l.transact(t.Context(), func(ctx context.Context, tx session) error {
			return errors.Join(tx.place(ctx, "apples"), record(ctx, tx.handle, "a"))
		})
		if !errors.Is(err, hooks.ErrNotWrapped) {
			t.Errorf("%s: Record in a transaction says %v, want %v", name, err, hooks.ErrNotWrapped)
		}
	}
	w.wantOrders()
}

// TestSQLXWithoutBindDriver: sqlx leaves the ? in the query, which PostgreSQL
// refuses; in a transaction, all of it.
func TestSQLXWithoutBindDriver(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := withOrders(t, e)
		db := sqlx.NewDb(w.open(), w.name)
		named := sqlxSession(db)
		w.wantRefusal(named.place(t.Context(), "apples"), "syntax error", "42601")
		w.wantRefusal(named.cancel(t.Context(), "apples"), "syntax error")
		err := inSQLX(t.Context(), db, func(tx *sqlx.Tx) error {
			return errors.Join(record(t.Context(), tx, "a"), sqlxSession(tx).place(t.Context(), "apples"))
		})
		w.wantRefusal(err, "syntax error")
		w.want()

		// The name of the base driver does as well as BindDriver.
		mended := sqlxSession(sqlx.NewDb(db.DB, e.Driver))
		w.ok(mended.place(t.Context(), "apples"))
		w.want("orders.inserted 1")
	}, dbtest.PostgresEngines()...)
}

// TestGORMIsNoHandle: *gorm.DB does not compile as one, so that nobody records
// beside the transaction by mistake.
func TestGORMIsNoHandle(t *testing.T) {
	if _, ok := any((*gorm.DB)(nil)).(hooks.Handle); ok {
		t.Error("*gorm.DB has become a handle: say in the README which")
	}
}

// TestGORMWithoutContext forgets WithContext: what was done is told, who did it
// is not. In a transaction it does not matter, the one of its beginning counts.
func TestGORMWithoutContext(t *testing.T) {
	w := withOrders(t, dbtest.PQ)
	g := openGORM(w, gormDialector(w), &gorm.Config{})
	ctx := hooks.WithActor(t.Context(), hooks.Actor{Type: hooks.User, ID: "ada"})
	w.ok(g.Create(&Order{Note: "apples"}).Error)
	w.ok(g.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		return tx.WithContext(t.Context()).Create(&Order{Note: "pears"}).Error
	}))
	var actors []string
	for _, entry := range w.recorder.Entries() {
		actors = append(actors, entry.Actor.ID)
	}
	w.wantLines("the actors are", actors, []string{"", "ada"})
	w.want("orders.inserted 1", "orders.inserted 1")
}

// TestGORMOnLibPQByConn hands lib/pq over as Conn, as it must be with pgx: GORM
// takes it for pgx and adds an argument that lib/pq does not know.
func TestGORMOnLibPQByConn(t *testing.T) {
	w := withOrders(t, dbtest.PQ)
	g := openGORM(w, postgres.New(postgres.Config{Conn: w.open()}), &gorm.Config{})
	w.wantRefusal(g.WithContext(t.Context()).AutoMigrate(&wide{}), "parameters")
	w.want()
}

// TestGORMOnPGXByName hands pgx over by name, as it must be with lib/pq: GORM
// does not know that it is pgx, so its look at a table is prepared and kept, and
// is out of date when AutoMigrate has altered the table.
func TestGORMOnPGXByName(t *testing.T) {
	w := newWorld(t, dbtest.PGX)
	g := openGORM(w, postgres.New(postgres.Config{DriverName: w.name, DSN: w.dsn}), &gorm.Config{}).WithContext(t.Context())
	w.ok(g.AutoMigrate(&Order{}))
	w.ok(g.AutoMigrate(&wide{}))
	w.recorder.Reset()
	w.wantRefusal(g.AutoMigrate(&wide{}), "cached plan must not change result type", "0A000")
}

// TestEntByName opens the wrapped driver by ent's own Open, which knows three
// names, and by the one of its SQL package, which reads the dialect off the
// name's beginning.
func TestEntByName(t *testing.T) {
	w := withOrders(t, dbtest.PQ)
	_, err := ent.Open(w.name, w.dsn)
	w.wantRefusal(err, "unsupported driver", w.name)

	d, err := entsql.Open(w.name, w.dsn)
	w.ok(err)
	t.Cleanup(func() { _ = d.Close() })
	w.ok(ent.NewClient(ent.Driver(d)).Order.Create().SetNote("apples").Exec(t.Context()))
	w.want("orders.inserted 1")

	w = withOrders(t, dbtest.PGX)
	d, err = entsql.Open(w.name, w.dsn)
	w.ok(err)
	t.Cleanup(func() { _ = d.Close() })
	w.wantRefusal(ent.NewClient(ent.Driver(d)).Order.Create().SetNote("apples").Exec(t.Context()), "syntax error")
	w.want()
}

// TestMigrationToolsByName gives migration tools the wrapped driver's name.
func TestMigrationToolsByName(t *testing.T) {
	w := newWorld(t, dbtest.PQ)
	wantText(t, goose.SetDialect(w.name), w.name, "unknown dialect")
	_, err := goose.OpenDBWithDriver(w.name, w.dsn)
	wantText(t, err, w.name, "unknown dialect")
	source, err := iofs.New(migrateFiles, ".")
	w.ok(err)
	_, err = migrate.NewWithSourceInstance("iofs", source, w.name+"://localhost/app")
	wantText(t, err, "unknown driver "+w.name)
}

// commented is a handle that puts a comment to each statement, as sqlcommenter
// does.
type commented struct {
	hooks.Handle
	before, after string
}

// ExecContext executes the query with its comment.
func (c commented) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return c.Handle.ExecContext(ctx, c.before+query+c.after, args...)
}

// TestCommentedStatements: comments around what Record sends do no harm. Where a
// statement hides it, Record says so.
func TestCommentedStatements(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := withOrders(t, e)
		db := w.open()
		w.ok(record(t.Context(), commented{Handle: db, after: " /* route='/orders' */"}, "a"))
		w.want("order.noted #a")
		w.ok(record(t.Context(), commented{Handle: db, before: "/* route='/orders' */ ", after: " -- done"}, "b"))
		w.want("order.noted #b")
		err := record(t.Context(), commented{Handle: db, before: "SELECT 1 "}, "c")
		if !errors.Is(err, hooks.ErrNotWrapped) {
			t.Errorf("Record says %v, want %v", err, hooks.ErrNotWrapped)
		}
		w.want()
	})
}
