package libraries_test

import (
	"context"
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// Order is GORM's model of the table orders.
type Order struct {
	ID   int64
	Note string
}

// gormDialector is GORM's PostgreSQL: on lib/pq it takes the driver's name, on
// pgx an open database.
func gormDialector(w *world) gorm.Dialector {
	w.Helper()
	if w.e.Name == dbtest.PGX.Name {
		return postgres.New(postgres.Config{Conn: w.open()})
	}
	return postgres.New(postgres.Config{DriverName: w.name, DSN: w.dsn})
}

func openGORM(w *world, d gorm.Dialector, config *gorm.Config) *gorm.DB {
	w.Helper()
	config.Logger = logger.Discard
	g, err := gorm.Open(d, config)
	w.ok(err)
	db, err := g.DB()
	w.ok(err)
	w.Cleanup(func() { _ = db.Close() })
	return g
}

// TestGORM leaves all of GORM's settings as they are: a write outside a
// transaction gets one of GORM's.
func TestGORM(t *testing.T) {
	forEach(t, func(w *world) library {
		w.Helper()
		return gormLibrary(openGORM(w, gormDialector(w), &gorm.Config{}))
	}, dbtest.PostgresEngines()...)
}

// TestGORMFast has the settings of GORM's page on performance: statements are
// prepared and kept, and a write outside a transaction gets none.
func TestGORMFast(t *testing.T) {
	forEach(t, func(w *world) library {
		w.Helper()
		return gormLibrary(openGORM(w, gormDialector(w), &gorm.Config{PrepareStmt: true, SkipDefaultTransaction: true}))
	}, dbtest.PostgresEngines()...)
}

func gormLibrary(g *gorm.DB) library {
	return library{
		db: gormSession(g),
		transact: func(ctx context.Context, f func(context.Context, session) error) error {
			return g.WithContext(ctx).Transaction(func(tx *gorm.DB) error { return f(ctx, gormSession(tx)) })
		},
	}
}

func gormSession(g *gorm.DB) session {
	return session{
		handle: g.Statement.ConnPool,
		place: func(ctx context.Context, note string) error {
			return g.WithContext(ctx).Create(&Order{Note: note}).Error
		},
		change: func(ctx context.Context, from, to string) error {
			return g.WithContext(ctx).Model(&Order{}).Where(&Order{Note: from}).Update("note", to).Error
		},
		cancel: func(ctx context.Context, note string) error {
			return g.WithContext(ctx).Where("note = ?", note).Delete(&Order{}).Error
		},
		nest: func(ctx context.Context, f func(context.Context, session) error) error {
			return g.WithContext(ctx).Transaction(func(tx *gorm.DB) error { return f(ctx, gormSession(tx)) })
		},
	}
}

// TestGORMSavepoints uses savepoints by name, and goes on after a statement
// that failed under one.
func TestGORMSavepoints(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := withOrders(t, e)
		g := openGORM(w, gormDialector(w), &gorm.Config{}).WithContext(t.Context())
		tx := g.Begin()
		w.ok(tx.Create(&Order{ID: 1, Note: "apples"}).Error)
		w.ok(tx.SavePoint("one").Error)
		w.ok(record(t.Context(), tx.Statement.ConnPool, "taken back"))
		if err := tx.Create(&Order{ID: 1, Note: "the same key"}).Error; err == nil {
			t.Error("two orders have one key")
		}
		w.ok(tx.RollbackTo("one").Error)
		w.ok(record(t.Context(), tx.Statement.ConnPool, "kept"))
		w.ok(tx.Commit().Error)
		w.want("orders.inserted 1", "order.noted #kept")
		w.wantOrders("apples")
	}, dbtest.PostgresEngines()...)
}

// TestGORMHook records from a model's hook, which gets the transaction.
func TestGORMHook(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := withOrders(t, e)
		g := openGORM(w, gormDialector(w), &gorm.Config{}).WithContext(t.Context())
		w.ok(g.Create(&noting{Note: "apples"}).Error)
		w.want("orders.inserted 1", "order.noted #apples")
		if err := g.Create(&noting{Note: "refused"}).Error; err == nil {
			t.Error("the hook's error is lost")
		}
		w.want()
		w.wantOrders("apples")
	}, dbtest.PostgresEngines()...)
}

// noting is an order whose hook records it.
type noting struct {
	ID   int64
	Note string
}

// TableName is that of the orders.
func (noting) TableName() string { return "orders" }

// AfterCreate runs in the transaction of the INSERT.
func (o *noting) AfterCreate(tx *gorm.DB) error {
	if err := record(tx.Statement.Context, tx.Statement.ConnPool, o.Note); err != nil {
		return err
	}
	if o.Note == "refused" {
		return errChanged
	}
	return nil
}

// wide is a later version of the model.
type wide struct {
	ID   int64
	Note string
	Gift bool `gorm:"index"`
}

// TableName is that of the orders.
func (wide) TableName() string { return "orders" }

// TestGORMAutoMigrate makes the table and alters it, through the wrapper; beside
// it, nothing is told.
func TestGORMAutoMigrate(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		for name, config := range map[string]gorm.Config{"plain": {}, "prepared": {PrepareStmt: true}} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, e)
				g := openGORM(w, gormDialector(w), &config).WithContext(t.Context())
				w.ok(g.AutoMigrate(&Order{}))
				w.want("schema.changed #orders")
				w.ok(g.Create(&Order{Note: "apples"}).Error)
				w.want("orders.inserted 1")
				w.ok(g.AutoMigrate(&Order{})) // nothing to do
				w.want()
				w.ok(g.AutoMigrate(&wide{}))
				w.want("schema.changed #orders", "schema.changed #idx_orders_gift")
				w.ok(g.Create(&wide{Note: "pears", Gift: true}).Error)
				w.want("orders.inserted 1")
				w.wantOrders("apples", "pears")
			})
		}
	}, dbtest.PostgresEngines()...)
}

// customer is a model as GORM's first page has it, whose ID is a uint.
type customer struct {
	gorm.Model
	Name string
}

// TestGORMModelKeys: what changes one row of a gorm.Model names it.
func TestGORMModelKeys(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		for name, config := range map[string]gorm.Config{"plain": {}, "prepared": {PrepareStmt: true, SkipDefaultTransaction: true}} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, e)
				g := openGORM(w, gormDialector(w), &config).WithContext(t.Context())
				w.ok(g.AutoMigrate(&customer{}))
				w.want("schema.changed #customers", "schema.changed #idx_customers_deleted_at")
				c := customer{Name: "Ada"}
				w.ok(g.Create(&c).Error)
				w.want("customers.inserted #1")
				w.ok(g.Model(&c).Update("name", "Eve").Error)
				w.want("customers.updated #1")
				c.Name = "Bob"
				w.ok(g.Save(&c).Error)
				w.want("customers.updated #1")
				w.ok(g.Delete(&c).Error) // sets deleted_at
				w.want("customers.updated #1")
				w.ok(g.Unscoped().Delete(&customer{}, c.ID).Error)
				w.want("customers.deleted #1")
			})
		}
	}, dbtest.PostgresEngines()...)
}
