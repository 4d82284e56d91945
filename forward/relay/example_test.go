package relay_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"time"

	_ "github.com/lib/pq" // "postgres"

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
