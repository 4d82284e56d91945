package changes_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"time"

	_ "github.com/lib/pq" // "postgres"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// One line beside the others that audit an app names the tables. Their triggers are made once the database is opened.
func Example() {
	audit := forward.New(nil)
	audit.Register(threadline.NewForwarder(nil), forward.Auto)
	audit.Keep(capture.Of(
		capture.Table{Name: "orders", Mask: []string{"card"}},
		capture.Table{Name: "order_lines"}))
	driver.Register("postgres-changes", "postgres", audit, driver.Capture(driver.AllTables()))

	db, err := sql.Open("postgres-changes", "postgres://localhost/shop")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	ctx := context.Background()
	store := changes.NewStore(db, hooks.Postgres, nil)
	history, err := store.History(ctx, "orders", "42")
	if err != nil {
		log.Fatal(err)
	}
	for _, change := range history {
		fmt.Println(change.CapturedAt, change.By, change.Op)
		for _, field := range change.Fields {
			fmt.Println("\t", field.Name, field.Old, "→", field.New)
		}
	}
}

// Who made a change, as [changes.Change] has it in By, for people.
func ExampleAttribution() {
	origin := changes.Origin{Role: "shop", Application: "web", Client: "10.0.0.7"}
	by := changes.Attribution{State: changes.Recorded, Contexts: []changes.Context{{Actor: hooks.Actor{Type: hooks.User, ID: "alice"}}}, Origin: origin}
	fmt.Println(&by)

	by = changes.Attribution{State: changes.Pending, Reason: "its events are not yet delivered", Origin: origin}
	fmt.Println(&by)

	by = changes.Attribution{State: changes.NoEvent, Origin: changes.Origin{Role: "admin", Application: "psql"}}
	fmt.Println(&by)
	// Output:
	// user:alice
	// role shop, web, from 10.0.0.7 (its events are not yet delivered)
	// role admin, psql (no event)
}

// What an order was at the end of March. "There was none" and "it is not known" are different answers.
func ExampleStore_RowAsOf() {
	var store *changes.Store

	show := func(ctx context.Context, order string) error {
		row, err := store.RowAsOf(ctx, "orders", time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC), order)
		switch {
		case errors.Is(err, changes.ErrNotYet), errors.Is(err, changes.ErrGone):
			fmt.Println("there was no order", order)
			return nil
		case err != nil:
			return err // an *AsOfError says why it is not known
		}
		for _, v := range row.Values {
			fmt.Println(v.Name, v)
		}
		if row.Since != nil {
			fmt.Println("since", row.Since.CapturedAt, "by", row.Since.By)
		}
		return nil
	}
	_ = show
}

// All orders as they were, row by row. An error with a row is about that row; one without is the last.
func ExampleStore_TableAsOf() {
	var store *changes.Store

	export := func(ctx context.Context, at time.Time) error {
		for row, err := range store.TableAsOf(ctx, "orders", at) {
			switch {
			case row == nil:
				return err
			case err != nil:
				fmt.Println(row.Key, "is not known:", err)
			default:
				fmt.Println(row)
			}
		}
		return nil
	}
	_ = export
}

// What an auditor asks before trusting a history: where may it have holes?
func ExampleStore_Breaks() {
	var store *changes.Store

	report := func(ctx context.Context) error {
		breaks, err := store.Breaks(ctx, "orders")
		if err != nil {
			return err
		}
		for _, b := range breaks {
			fmt.Println(b.Kind, "between", b.From, "and", b.To, b.Text)
		}
		return nil
	}
	_ = report
}

// What else the transaction of a change has changed.
func ExampleStore_Transaction() {
	var store *changes.Store

	beside := func(ctx context.Context, change changes.Change) error {
		t, err := store.Transaction(ctx, change.XID, change.TxStartedAt, 1000)
		if err != nil {
			return err
		}
		for _, c := range t.Changes {
			fmt.Println(c.Op, c.Table, c.Key, c.ForeignKey)
		}
		for _, l := range t.Lost {
			fmt.Println(l.Count, "changes of", l.Table, "are not in the history:", l.Reason)
		}
		if t.More {
			fmt.Println("and more: Store.Each has all of them")
		}
		return nil
	}
	_ = beside
}
