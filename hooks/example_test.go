package hooks_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

// openShop opens an audited database, here on a fake driver and without a journal.
func openShop() (*sql.DB, *sqltest.Recorder) {
	audit := forward.New(&forward.Options{NoJournal: true, Logger: zap.NewNop()})
	events := sqltest.NewRecorder()
	audit.Register(events, forward.Sync)
	connector, err := driver.WrapConnector(sqltest.NewFake(), audit, driver.WithDialect(hooks.Postgres))
	if err != nil {
		log.Fatal(err)
	}
	return sql.OpenDB(connector), events
}

// An event is in the trail if its transaction commits.
func ExampleRecord() {
	db, events := openShop()
	defer db.Close()
	ctx := hooks.WithActor(context.Background(), hooks.Actor{Type: hooks.User, ID: "bob"})
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	err = hooks.Record(ctx, tx, hooks.Event{
		Action: "order.refunded",
		Target: hooks.Target{Type: "order", ID: "42"},
		Reason: "damaged in transit",
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("before:", events.Actions())
	if err := tx.Commit(); err != nil {
		log.Fatal(err)
	}
	fmt.Println("after:", events.Actions())
	// Output:
	// before: []
	// after: [order.refunded]
}

// Metadata that must not be kept is refused at once, and the transaction goes on.
func ExampleRecord_refused() {
	db, _ := openShop()
	defer db.Close()
	err := hooks.Record(context.Background(), db, hooks.Event{
		Action:   "user.invited",
		Metadata: map[string]any{"password": "hunter2"},
	})
	fmt.Println(err)
	// Output: hooks: invalid event: metadata.password: its name says that it is a secret, and an audit trail keeps things forever: leave it out, or store a fingerprint under another name
}

// A mail that must not be sent for an order that was rolled back.
func ExampleOnCommit() {
	db, _ := openShop()
	defer db.Close()
	ctx := context.Background()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	err = hooks.OnCommit(ctx, tx, func(context.Context) { fmt.Println("mail sent") })
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("committing")
	if err := tx.Commit(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// committing
	// mail sent
}
