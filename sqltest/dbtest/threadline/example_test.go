package threadline_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// shop is a timeline with three actions in a new SQLite file.
func shop() (store *threadline.Store, done func()) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "shop")
	if err != nil {
		log.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "shop.db"))
	if err != nil {
		log.Fatal(err)
	}
	store = threadline.NewStore(db, hooks.SQLite, nil)
	if err = store.Migrate(ctx); err != nil {
		log.Fatal(err)
	}
	at := time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)
	var entries []journal.Entry
	for i, e := range []hooks.Event{
		{Action: "order.placed", Actor: hooks.Actor{Type: hooks.User, ID: "7"}, Target: hooks.Target{Type: "order", ID: "42"}, RequestID: "r-1"},
		{Action: "order.refunded", Outcome: hooks.Failure, Actor: hooks.Actor{Type: hooks.Admin, ID: "1"}, Target: hooks.Target{Type: "order", ID: "42"}},
		{Action: "stock.counted"},
	} {
		e.ID = uuid.UUID{15: byte(i + 1)}
		e.OccurredAt = at
		if e, err = hooks.Prepare(e); err != nil {
			log.Fatal(err)
		}
		entries = append(entries, journal.Entry{Event: e, Position: journal.Position{Ordinal: i}, RecordedAt: at.Add(time.Duration(i) * time.Minute)})
	}
	if err := store.Record(ctx, entries); err != nil {
		log.Fatal(err)
	}
	return store, func() {
		if err := db.Close(); err != nil {
			log.Fatal(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			log.Fatal(err)
		}
	}
}

func Example_timeline() {
	store, done := shop()
	defer done()

	page, err := store.Timeline(context.Background(), threadline.Query{TargetType: "order", TargetID: "42"})
	if err != nil {
		log.Fatal(err)
	}
	for _, a := range page.Actions {
		fmt.Println(a)
	}
	// Output:
	// 2026-03-14T09:01:00Z admin:1 order.refunded order:42 (failure)
	// 2026-03-14T09:00:00Z user:7 order.placed order:42
}

func Example_pages() {
	store, done := shop()
	defer done()

	q := threadline.Query{Limit: 2}
	for {
		page, err := store.Timeline(context.Background(), q)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(len(page.Actions), "actions, the last by", page.Actions[len(page.Actions)-1].ActorRef())
		if page.Next == "" {
			break
		}
		q.Cursor = page.Next
	}
	// Output:
	// 2 actions, the last by admin:1
	// 1 actions, the last by user:7
}

func ExampleStore_Each() {
	store, done := shop()
	defer done()

	byActor := map[string]int{}
	for a, err := range store.Each(context.Background(), threadline.Query{}) {
		if err != nil {
			log.Fatal(err)
		}
		byActor[a.ActorRef()]++
	}
	fmt.Println(byActor)
	// Output: map[admin:1:1 unattributed:1 user:7:1]
}

func ExampleStore_Check() {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	fmt.Println(threadline.NewStore(db, hooks.SQLite, nil).Check(context.Background()))
	// Output: threadline: the table main."threadline_audit_actions" does not exist: run Store.Migrate, or the SQL that threadline.Schema returns, as the role that shall own it
}

func ExampleForwarder() {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)

	// What a hub does: it attaches the forwarder to the app's database, and lends
	// it a connection after a commit.
	f := threadline.NewForwarder(nil)
	ctx := forward.WithConn(context.Background(), db)
	if err = f.Attach(ctx, db); err != nil {
		log.Fatal(err)
	}
	event, err := hooks.Prepare(hooks.Event{Action: "order.placed"})
	if err != nil {
		log.Fatal(err)
	}
	entries := []journal.Entry{{Event: event}}
	fmt.Println(f.Forward(ctx, entries), f.Forward(ctx, entries)) // a second time changes nothing

	page, err := threadline.NewStore(db, hooks.SQLite, nil).Timeline(ctx, threadline.Query{})
	fmt.Println(len(page.Actions), err)
	// Output:
	// <nil> <nil>
	// 1 <nil>
}
