package trail_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/search"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// Everything alice did to orders since Monday, actions and row changes together.
func ExampleReader_Each() {
	db, err := sql.Open("postgres", "postgres://localhost/shop")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	aliases := map[string][]string{"order": {"orders"}} // what you record, and the table that is captured
	all := trail.NewReader(
		threadline.NewStore(db, hooks.Postgres, &threadline.Options{Aliases: aliases}),
		changes.NewStore(db, hooks.Postgres, &changes.Options{Aliases: aliases}))

	terms, err := search.Parse("actor:alice table:orders after:2026-11-30")
	if err != nil {
		log.Fatal(err) // it points at the word
	}
	q, err := terms.Trail(time.Now())
	if err != nil {
		log.Fatal(err)
	}
	for item, err := range all.Each(context.Background(), q) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(item)
		// 2026-11-30T10:00:02Z user:alice order.refunded order:42: damaged
		// 2026-11-30T10:00:02Z user:alice orders.updated orders:42
		// 2026-11-30T10:00:01Z user:alice update orders [42]: status: paid → refunded
	}
}

// What else happened in the transaction of an item.
func ExampleQuery_transaction() {
	var all *trail.Reader

	beside := func(ctx context.Context, item trail.Item) (trail.Page, error) {
		return all.Page(ctx, trail.Query{Tx: item.Tx()})
	}
	_ = beside
}
