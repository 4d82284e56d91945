package journal_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"time"

	_ "github.com/lib/pq" // "postgres"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// Everything recorded today (UTC), one entry per event.
func ExampleJournal_Each() {
	ctx := context.Background()
	db, err := sql.Open("postgres", "postgres://localhost/shop")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	j, err := journal.New(hooks.Postgres, nil)
	if err != nil {
		log.Fatal(err)
	}

	today := journal.Query{From: time.Now().Truncate(24 * time.Hour)}
	for e, err := range j.Each(ctx, db, today) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.RecordedAt, e.Action, e.Target.ID)
	}
}

// After every program runs the new version, the view takes over the name audit_events.
func ExampleSwap() {
	ctx := context.Background()
	db, err := sql.Open("postgres", "postgres://owner@localhost/shop") // the journal's owner
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	script, err := journal.Swap(nil)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := db.ExecContext(ctx, script); err != nil {
		log.Fatal(err) // it names the program or the forwarder that is in the way
	}
}

// A position in an error message names an entry, even one without an event ID.
func ExampleParsePosition() {
	p, err := journal.ParsePosition("019ac5c4-7a3e-7f21-9b61-0c6d2a9f4e55/3")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Ordinal, p.Text())
	// Output: 3 019ac5c4-7a3e-7f21-9b61-0c6d2a9f4e55/3
}
