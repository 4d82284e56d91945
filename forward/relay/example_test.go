package relay_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"time"

	_ "github.com/lib/pq" // "postgres"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// What a sink has refused while it was misconfigured is delivered again.
func ExampleStore_Replay() {
	ctx := context.Background()
	db, err := sql.Open("postgres", "postgres://localhost/shop")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	store, err := relay.New(hooks.Postgres, nil)
	if err != nil {
		log.Fatal(err)
	}

	states, err := store.States(ctx, db)
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range states {
		if s.Discarded == 0 {
			continue
		}
		n, err := store.Replay(ctx, db, relay.Selection{Forwarder: s.Forwarder, Discarded: true}, false)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(s.Forwarder, "gets", n, "entries again")
	}
}

// A nightly job deletes what is older than a year, and has been delivered.
func ExampleStore_Purge() {
	ctx := context.Background()
	db, err := sql.Open("postgres", "postgres://localhost/shop")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	store, err := relay.New(hooks.Postgres, nil)
	if err != nil {
		log.Fatal(err)
	}

	purged, err := store.Purge(ctx, db, relay.PurgeOptions{Before: time.Now().AddDate(-1, 0, 0), By: "nightly"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("deleted", purged.Events, "and kept", purged.Kept)
}

// Dead letters, one of which is tried again by its position: an entry that cannot be read may
// have no event ID. The position is the one that a log line, say, has named.
func ExampleStore_Failures() {
	ctx := context.Background()
	db, err := sql.Open("postgres", "postgres://localhost/shop")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	store, err := relay.New(hooks.Postgres, nil)
	if err != nil {
		log.Fatal(err)
	}

	const sink = "threadline.Forwarder/default"
	failed, err := store.Failures(ctx, db, sink, true, 0)
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range failed {
		fmt.Println(f.Position.Text(), f.EventID, f.Reason, f.Error)
	}

	position, err := journal.ParsePosition("019ac5c4-7a3e-7f21-9b61-0c6d2a9f4e55/3")
	if err != nil {
		log.Fatal(err)
	}
	n, err := store.Replay(ctx, db, relay.Selection{Forwarder: sink, Positions: []journal.Position{position}}, false)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(n, "is delivered again")
}

// After a restore the cursors belong to the database that was dumped. An operator decides
// whether each forwarder gets again what it may have missed.
func ExampleStore_Resume() {
	ctx := context.Background()
	db, err := sql.Open("postgres", "postgres://localhost/shop")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	store, err := relay.New(hooks.Postgres, nil)
	if err != nil {
		log.Fatal(err)
	}

	states, err := store.States(ctx, db)
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range states {
		if !s.Elsewhere {
			continue
		}
		n, err := store.Resume(ctx, db, s.Forwarder, true) // nothing is missed, some may come twice
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(s.Forwarder, "goes on, and gets", n, "entries again")
	}
}
