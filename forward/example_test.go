package forward_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/google/uuid"
	_ "github.com/lib/pq" // "postgres"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
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

// mailer is a sink that knows that it will never reach some people.
type mailer struct{}

var errNoAddress = errors.New("no address")

// Forward names the entries that have failed. The others are not sent again.
func (m mailer) Forward(ctx context.Context, entries []journal.Entry) error {
	failed := make(map[uuid.UUID]error)
	for _, e := range entries {
		switch err := m.send(ctx, e); {
		case errors.Is(err, errNoAddress):
			failed[e.ID] = forward.Permanent("no_address", err) // a dead letter at once
		case err != nil:
			failed[e.ID] = err // to be tried again
		}
	}
	if len(failed) > 0 {
		return forward.Partial(failed)
	}
	return nil
}

func (mailer) send(_ context.Context, e journal.Entry) error {
	if e.Target.ID == "" {
		return errNoAddress
	}
	return nil
}

// A sink that refuses one entry of a call, and accepts the other.
func ExamplePartial() {
	entries := []journal.Entry{
		{Event: hooks.Event{ID: hooks.NewID(), Target: hooks.Target{Type: "user", ID: "ada"}}},
		{Event: hooks.Event{ID: hooks.NewID(), Target: hooks.Target{Type: "user"}}},
	}
	err := mailer{}.Forward(context.Background(), entries)

	var partial *forward.PartialError
	fmt.Println(errors.As(err, &partial), partial.Failed[entries[1].ID])
	// Output: true no_address: no address
}

// ledger is a sink that gets events and row changes. The events of a transaction come first, and say who.
type ledger struct{}

func (ledger) Forward(_ context.Context, entries []journal.Entry) error {
	failed := make(map[uuid.UUID]error)
	for _, e := range entries {
		if e.Change == nil {
			fmt.Println(e.Tx.ID, e.Action, "by", e.Actor.ID)
			continue
		}
		var change changes.Diff
		if err := json.Unmarshal(e.Change, &change); err != nil {
			failed[e.ID] = forward.Permanent("unreadable", err)
			continue
		}
		for _, f := range change.Fields {
			if f.Old.Kind == changes.KindValue && f.New.Kind == changes.KindValue {
				fmt.Println(e.Tx.ID, change.Table, change.Key, f.Name+":", *f.Old.Text, "→", *f.New.Text)
			}
		}
	}
	if len(failed) > 0 {
		return forward.Partial(failed)
	}
	return nil
}

// A forwarder that gets row changes, too: of a transaction first its events, then what it has changed.
func ExampleWithChanges() {
	audit := forward.New(nil)
	audit.Keep(capture.Of(capture.Table{Name: "orders"}))
	audit.Register(ledger{}, forward.Async, forward.WithChanges(changes.NewSource(nil)))
	driver.Register("postgres-ledger", "postgres", audit)

	// What the relay calls it with.
	tx := journal.TxKey{ID: 775, StartedAt: time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)}
	err := ledger{}.Forward(context.Background(), []journal.Entry{
		{Tx: tx, Event: hooks.Event{ID: hooks.NewID(), Action: "order.paid", Actor: hooks.Actor{Type: hooks.User, ID: "alice"}}},
		{
			Tx: tx, Event: hooks.Event{ID: hooks.NewID(), Action: "row.updated", Target: hooks.Target{Type: "orders", ID: "42"}},
			Change: []byte(`{"op": "update", "table": "orders", "key": ["42"], "fields":
				[{"name": "status", "old": {"kind": "value", "text": "new"}, "new": {"kind": "value", "text": "paid"}}]}`),
		},
	})
	fmt.Println(err)
	// Output:
	// 775 order.paid by alice
	// 775 orders [42] status: new → paid
	// <nil>
}

// Sinks that an operator chooses, here in the environment. A sink is known by its name once its
// package is imported, as threadline is here.
func ExampleHub_Configure() {
	audit := forward.New(nil)
	sinks, err := forward.ParseSpecs([]byte(os.Getenv("AUDIT_SINKS"))) // such as [{"name": "threadline"}]
	if err == nil {
		err = audit.Configure(sinks...)
	}
	if err != nil {
		log.Fatal(err)
	}
	driver.Register("postgres-configured", "postgres", audit)
}
