package hooks_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log"

	"github.com/lib/pq"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

// outbox is a Hook, and its Handler, that keeps events by means of a function in the app's
// database.
type outbox struct{}

func (o outbox) Open(hooks.Database) (hooks.Handler, error) { return o, nil }

func (outbox) Connect(context.Context, *sql.DB) error { return nil }

// Flush calls the function outbox, which returns a row if it has written: unless it must, it
// writes nothing in a transaction that has written nothing itself.
func (outbox) Flush(ctx context.Context, f hooks.Flush) (written bool, err error) {
	doc, err := json.Marshal(f.Events)
	if err != nil {
		return false, err
	}
	fmt.Println("flush of", len(f.Events), "event, with COMMIT:", f.Final != nil)
	// Without arguments, so that it needs no second round trip.
	query := fmt.Sprintf("SELECT 1 FROM outbox('%s', %s, must_write => %t)", f.Key, pq.QuoteLiteral(string(doc)), f.Must)
	if f.Final != nil {
		query = f.Final(query)
	}
	_, n, err := f.Conn.QueryRow(ctx, query)
	return err == nil && (f.Must || n > 0), err
}

// End is where the events of a committed transaction may be forwarded. For [hooks.Unknown] it
// would look for the keys of end.Writes over end.Conn.
func (outbox) End(_ context.Context, end hooks.Ended) hooks.Outcome {
	fmt.Println(end.Outcome, end.Events[0].Action)
	return end.Outcome
}

func (outbox) Notify(hooks.Notice) {}

// A Handler writes events where the app's own changes are written, in the same transaction.
func ExampleHandler() {
	connector, err := driver.WrapConnector(sqltest.NewFake(), outbox{}, driver.WithDialect(hooks.Postgres))
	if err != nil {
		log.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()

	err = hooks.Record(context.Background(), db, hooks.Event{Action: "report.exported"})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// flush of 1 event, with COMMIT: true
	// committed report.exported
}
