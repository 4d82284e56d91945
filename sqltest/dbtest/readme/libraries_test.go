package readme_test

import (
	"database/sql"
	"errors"
	"testing"

	"github.com/jmoiron/sqlx"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// ofOrders returns the timeline's actions on the table orders, oldest first.
func ofOrders(t *testing.T, db *sql.DB) []string {
	t.Helper()
	page, err := threadline.NewStore(db, hooks.Postgres, nil).Timeline(t.Context(), threadline.Query{TargetType: "orders"})
	if err != nil {
		t.Fatal(err)
	}
	var actions []string
	for _, a := range page.Actions {
		actions = append([]string{a.Action}, actions...)
	}
	return actions
}

func TestSQLX(t *testing.T) {
	sqlx.BindDriver("postgres-audited", sqlx.DOLLAR)
	db := sqlx.NewDb(openAudited(t, dbtest.Postgres(t)), "postgres-audited")
	exec(t, db, "CREATE TABLE orders (id bigint PRIMARY KEY, note text)")

	tx, err := db.BeginTxx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	order := map[string]any{"id": 1, "note": "fragile"}
	if _, err := tx.NamedExecContext(t.Context(), "INSERT INTO orders (id, note) VALUES (:id, :note)", order); err != nil {
		t.Fatal(err)
	}
	if err := hooks.Record(t.Context(), tx, hooks.Event{Action: "order.placed", Target: hooks.Target{Type: "orders"}}); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	delivered(t)
	if got := ofOrders(t, db.DB); len(got) != 2 || got[0] != "orders.inserted" || got[1] != "order.placed" {
		t.Errorf("the timeline has %q", got)
	}
}

// Order is a GORM model.
type Order struct {
	ID   int64
	Note string
}

func TestGORMOnLibPQ(t *testing.T) {
	dsn := dbtest.Postgres(t)
	g, err := gorm.Open(postgres.New(postgres.Config{DriverName: "postgres-audited", DSN: dsn}), &gorm.Config{})
	if err != nil {
		t.Fatal(err)
	}
	useGORM(t, g)
	db, err := g.DB()
	if err != nil {
		t.Fatal(err)
	}
	delivered(t)
	if got := ofOrders(t, db); len(got) != 1 || got[0] != "orders.inserted" {
		t.Errorf("the timeline has %q, want the insert that was not rolled back", got)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

var pgxRecorder = sqltest.NewRecorder()

func init() {
	hub := forward.New(nil)
	hub.Register(pgxRecorder, forward.Sync)
	driver.Register("pgx-audited", "pgx", hub, driver.Capture(driver.AllTables()))
}

func TestGORMOnPGX(t *testing.T) {
	db := dbtest.Open(t, "pgx-audited", dbtest.Postgres(t))
	g, err := gorm.Open(postgres.New(postgres.Config{Conn: db}), &gorm.Config{})
	if err != nil {
		t.Fatal(err)
	}
	useGORM(t, g)
	pgxRecorder.Only(t, "schema.changed", "orders.inserted")
}

// useGORM inserts an order, and another one under a savepoint that is rolled
// back: GORM's nested transactions are savepoints.
func useGORM(t *testing.T, g *gorm.DB) {
	t.Helper()
	g = g.WithContext(t.Context())
	if err := g.AutoMigrate(&Order{}); err != nil {
		t.Fatal(err)
	}
	err := g.Transaction(func(tx *gorm.DB) error {
		if err := tx.Create(&Order{Note: "kept"}).Error; err != nil {
			return err
		}
		inner := tx.Transaction(func(tx *gorm.DB) error {
			if err := tx.Create(&Order{Note: "taken back"}).Error; err != nil {
				return err
			}
			return gorm.ErrInvalidTransaction
		})
		if !errors.Is(inner, gorm.ErrInvalidTransaction) {
			t.Errorf("the inner transaction: %v", inner)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
