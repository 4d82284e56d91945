package threadline_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"net/url"

	_ "github.com/lib/pq" // "postgres"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

// A timeline in the app's own database: its tables are made when that is opened.
func Example() {
	audit := forward.New(nil)
	audit.Register(threadline.NewForwarder(nil), forward.Auto)
	driver.Register("postgres-timeline", "postgres", audit, driver.Capture(driver.AllTables()))

	db, err := sql.Open("postgres-timeline", "postgres://localhost/shop")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	store := threadline.NewStore(db, hooks.Postgres, nil)
	page, err := store.Timeline(context.Background(), threadline.Query{TargetType: "order", TargetID: "42"})
	if err != nil {
		log.Fatal(err)
	}
	for _, action := range page.Actions {
		fmt.Println(action) // 2026-03-14T09:00:00Z user:7 order.placed order:42
	}
}

// All actions of one actor, however many there are.
func ExampleStore_Each() {
	db, err := sql.Open("postgres", "postgres://localhost/shop")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	store := threadline.NewStore(db, hooks.Postgres, nil)
	q := threadline.Query{ActorType: hooks.User, ActorID: "7"}
	for action, err := range store.Each(context.Background(), q) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(action)
	}
}

// What a transaction did: its events, and with each statement the rows that it has changed.
func ExampleStore_Story() {
	db, err := sql.Open("postgres", "postgres://localhost/shop")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	timeline := threadline.NewStore(db, hooks.Postgres, nil)
	rows := changes.NewStore(db, hooks.Postgres, nil)
	page, err := timeline.Timeline(context.Background(), threadline.Query{Action: "order.refunded", Limit: 1})
	if err != nil {
		log.Fatal(err)
	}
	for _, action := range page.Actions {
		story, err := timeline.Story(context.Background(), rows, action.Tx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(story)
		// It has lines such as these:
		//
		//   2026-11-30T10:00:02Z user:alice order.refunded order:42: damaged
		//   2026-11-30T10:00:02Z user:alice orders.updated orders:42
		//     update orders [42]: status: paid → refunded
	}
}

// The app records the target "order", and the driver captures the table "orders".
func ExampleOptions_aliases() {
	db, err := sql.Open("postgres", "postgres://localhost/shop")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	store := threadline.NewStore(db, hooks.Postgres, &threadline.Options{
		Aliases: map[string][]string{"order": {"orders"}},
	})
	// Either name now finds the actions of both.
	fmt.Println(store.Aliases("order"), store.Aliases("orders"))
	// Output: [order orders] [order orders]
}

// What a page of the timeline asks for in its URL.
func ExampleParseQuery() {
	values, err := url.ParseQuery("actor=user:42&action_prefix=order.&limit=20")
	if err != nil {
		log.Fatal(err)
	}
	q, err := threadline.ParseQuery(values)
	fmt.Println(q.ActorType, q.ActorID, q.ActionPrefix, q.Limit, err)

	_, err = threadline.ParseQuery(url.Values{"actor": {"unattributed"}, "colour": {"red"}})
	fmt.Println(err != nil)
	// Output:
	// user 42 order. 20 <nil>
	// true
}
