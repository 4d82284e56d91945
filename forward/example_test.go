package forward_test

import (
	"context"
	"database/sql"
	"log"
	"os"
	"os/signal"

	_ "github.com/lib/pq" // "postgres"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// A whole app: what it registers is best in an init function of a file of its
// own, and what it changes is the name given to sql.Open.
func Example() {
	audit := forward.New(nil)
	audit.Register(threadline.NewForwarder(nil), forward.Auto)
	driver.Register("postgres-audited", "postgres", audit, driver.Capture(driver.AllTables()))

	db, err := sql.Open("postgres-audited", "postgres://localhost/shop")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	// An event "orders.updated" by admin:ada, forwarded once this has committed.
	ctx := hooks.WithActor(context.Background(), hooks.Actor{Type: hooks.Admin, ID: "ada"})
	if _, err := db.ExecContext(ctx, "UPDATE orders SET state = 'paid' WHERE id = $1", 42); err != nil {
		log.Println(err)
	}
}

// A relay that runs alone, beside apps with Options.Relay set to RelayElsewhere.
func ExampleHub_Relay() {
	audit := forward.New(nil)
	audit.Register(threadline.NewForwarder(nil), forward.Async)

	db, err := sql.Open("postgres", "postgres://localhost/shop") // the base driver
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := audit.Relay(ctx, db, hooks.Postgres); err != nil {
		log.Println(err)
	}
}

// counter is a sink in the app's own database.
type counter struct{}

// Forward counts orders, in whatever database they were placed.
func (counter) Forward(ctx context.Context, entries []journal.Entry) error {
	query := "UPDATE counts SET orders = orders + $1"
	if forward.Dialect(ctx) == hooks.SQLite {
		query = "UPDATE counts SET orders = orders + ?"
	}
	_, err := forward.Conn(ctx).ExecContext(ctx, query, len(entries))
	return err
}

// A sink that uses the app's own database over the connection that is lent to it.
func ExampleConn() {
	audit := forward.New(nil)
	audit.Register(counter{}, forward.Auto, forward.Filter(func(e journal.Entry) bool { return e.Action == "order.placed" }))
	driver.Register("postgres-counted", "postgres", audit)
}
