package driver_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"

	"github.com/lib/pq"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

// An app whose writes to one table are captured. It runs on a fake driver and
// without a journal; with a real one the base is "postgres", "pgx" or "sqlite".
func Example() {
	audit := forward.New(&forward.Options{NoJournal: true, Logger: zap.NewNop()})
	events := sqltest.NewRecorder()
	audit.Register(events, forward.Sync)
	base := sqltest.NewFake().Register()
	driver.Register("shop-audited", base, audit,
		driver.WithDialect(hooks.Postgres), driver.Capture(driver.Tables("orders")))

	db, err := sql.Open("shop-audited", "")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	ctx := hooks.WithActor(context.Background(), hooks.Actor{Type: hooks.Admin, ID: "ada"})
	for _, end := range []func(*sql.Tx) error{(*sql.Tx).Rollback, (*sql.Tx).Commit} {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			log.Fatal(err)
		}
		if _, err := tx.ExecContext(ctx, "UPDATE orders SET state = 'paid' WHERE id = 42"); err != nil {
			log.Fatal(err)
		}
		if _, err := tx.ExecContext(ctx, "UPDATE visitors SET seen = now()"); err != nil {
			log.Fatal(err)
		}
		if err := end(tx); err != nil {
			log.Fatal(err)
		}
		for _, e := range events.Entries() {
			fmt.Println(e.Actor.ID, e.Action, e.Target.ID)
		}
	}
	// Output: ada orders.updated 42
}

func ExampleTables() {
	fmt.Println(driver.Tables("orders", "billing.invoices"))
	fmt.Println(driver.AllTables().Except("sessions"))
	// Output:
	// orders, billing.invoices
	// all tables except sessions
}

// A database that is opened with a connector has no name for SetMode.
func ExampleWrapConnector() {
	base, err := pq.NewConnector("postgres://localhost/shop")
	if err != nil {
		log.Fatal(err)
	}
	audit := forward.New(nil)
	connector, err := driver.WrapConnector(base, audit, driver.Capture(driver.AllTables()))
	if err != nil {
		log.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
}

// Trouble with the journal must not stop the shop today. The change is an event itself.
func ExampleSetMode() {
	ctx := hooks.WithActor(context.Background(), hooks.Actor{Type: hooks.Admin, ID: "ada"})
	if err := driver.SetMode(ctx, "postgres-audited", hooks.BestEffort); err != nil {
		log.Println(err)
	}
}
