package forward_test

import (
	"context"
	"database/sql"
	"log"

	_ "github.com/lib/pq" // "postgres"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
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
