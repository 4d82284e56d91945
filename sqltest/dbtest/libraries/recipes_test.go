package libraries_test

import (
	"context"
	"database/sql"
	"io/fs"
	"testing"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/golang-migrate/migrate/v4"
	migratepostgres "github.com/golang-migrate/migrate/v4/database/postgres"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jmoiron/sqlx"
	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"go.uber.org/zap"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"xorm.io/xorm"
	"xorm.io/xorm/dialects"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest/libraries/ent"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest/libraries/sqlc"
)

var recipes = sqltest.NewRecorder()

func init() {
	hub := forward.New(&forward.Options{Logger: zap.NewNop()})
	hub.Register(recipes, forward.Sync)
	driver.Register("postgres-audited", "postgres", hub, driver.Capture(driver.AllTables()))
}

// TestRecipes runs the README's lines for each library: open, write, record.
func TestRecipes(t *testing.T) {
	for name, recipe := range map[string]func(ctx context.Context, dsn string, event hooks.Event) error{
		"sqlx": recipeSQLX, "GORM": recipeGORM, "bun": recipeBun, "ent": recipeEnt, "sqlc": recipeSQLC, "xorm": recipeXorm,
	} {
		t.Run(name, func(t *testing.T) {
			dsn := dbtest.Postgres(t)
			if _, err := dbtest.Open(t, "postgres", dsn).ExecContext(t.Context(), ordersPostgres); err != nil {
				t.Fatal(err)
			}
			recipes.Reset()
			if err := recipe(t.Context(), dsn, hooks.Event{Action: "order.placed"}); err != nil {
				t.Fatal(err)
			}
			recipes.Only(t, "orders.inserted", "order.placed")
		})
	}
}

func recipeSQLX(ctx context.Context, dsn string, event hooks.Event) error {
	sqlx.BindDriver("postgres-audited", sqlx.DOLLAR)
	db, err := sqlx.Open("postgres-audited", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	return inSQLX(ctx, db, func(tx *sqlx.Tx) error {
		if err := sqlxSession(tx).place(ctx, "apples"); err != nil {
			return err
		}
		return hooks.Record(ctx, tx, event)
	})
}

func recipeGORM(ctx context.Context, dsn string, event hooks.Event) error {
	db, err := gorm.Open(postgres.New(postgres.Config{DriverName: "postgres-audited", DSN: dsn}), &gorm.Config{})
	if err != nil {
		return err
	}
	pool, err := db.DB()
	if err != nil {
		return err
	}
	defer pool.Close()
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Create(&Order{Note: "apples"}).Error; err != nil {
			return err
		}
		return hooks.Record(ctx, tx.Statement.ConnPool, event)
	})
}

func recipeBun(ctx context.Context, dsn string, event hooks.Event) error {
	audited, err := sql.Open("postgres-audited", dsn)
	if err != nil {
		return err
	}
	defer audited.Close()
	db := bun.NewDB(audited, pgdialect.New())
	return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewInsert().Model(&bunOrder{Note: "apples"}).Exec(ctx); err != nil {
			return err
		}
		return hooks.Record(ctx, tx, event)
	})
}

func recipeEnt(ctx context.Context, dsn string, event hooks.Event) error {
	audited, err := sql.Open("postgres-audited", dsn)
	if err != nil {
		return err
	}
	defer audited.Close()
	client := ent.NewClient(ent.Driver(entsql.OpenDB(dialect.Postgres, audited)))
	return inEnt(ctx, client, func(tx *ent.Tx) error {
		if err := tx.Order.Create().SetNote("apples").Exec(ctx); err != nil {
			return err
		}
		return hooks.Record(ctx, tx, event) // with ent's feature sql/execquery
	})
}

func recipeSQLC(ctx context.Context, dsn string, event hooks.Event) error {
	audited, err := sql.Open("postgres-audited", dsn)
	if err != nil {
		return err
	}
	defer audited.Close()
	queries := sqlc.New(audited)
	tx, err := audited.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := queries.WithTx(tx).PlaceOrder(ctx, "apples"); err != nil {
		return err
	}
	if err := hooks.Record(ctx, tx, event); err != nil {
		return err
	}
	return tx.Commit()
}

func recipeXorm(ctx context.Context, dsn string, event hooks.Event) error {
	if dialects.QueryDriver("postgres-audited") == nil {
		dialects.RegisterDriver("postgres-audited", dialects.QueryDriver("postgres"))
	}
	db, err := xorm.NewEngine("postgres-audited", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	session := db.NewSession().Context(ctx)
	defer session.Close()
	if err := session.Begin(); err != nil {
		return err
	}
	if _, err := session.Insert(&xormOrder{Note: "apples"}); err != nil {
		return err
	}
	if err := hooks.Record(ctx, session.Tx(), event); err != nil {
		return err
	}
	return session.Commit()
}

// TestMigrationRecipes runs the README's lines for migration tools.
func TestMigrationRecipes(t *testing.T) {
	for name, recipe := range map[string]func(ctx context.Context, audited *sql.DB) error{
		"goose":          func(ctx context.Context, db *sql.DB) error { return recipeGoose(ctx, db, gooseFiles) },
		"golang-migrate": func(_ context.Context, db *sql.DB) error { return recipeMigrate(db, migrateFiles) },
	} {
		t.Run(name, func(t *testing.T) {
			audited := dbtest.Open(t, "postgres-audited", dbtest.Postgres(t))
			recipes.Reset()
			if err := recipe(t.Context(), audited); err != nil {
				t.Fatal(err)
			}
			recipes.Only(t, "schema.changed", "orders.inserted", "schema.changed", "orders.updated")
		})
	}
}

func recipeGoose(ctx context.Context, audited *sql.DB, migrations fs.FS) error {
	provider, err := goose.NewProvider(goose.DialectPostgres, audited, migrations)
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

func recipeMigrate(audited *sql.DB, migrations fs.FS) error {
	source, err := iofs.New(migrations, ".")
	if err != nil {
		return err
	}
	target, err := migratepostgres.WithInstance(audited, &migratepostgres.Config{})
	if err != nil {
		return err
	}
	m, err := migrate.NewWithInstance("iofs", source, "postgres", target)
	if err != nil {
		return err
	}
	return m.Up()
}
