package trail_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
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
	reader := trail.NewReader(
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
	for item, err := range reader.Each(context.Background(), q) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(item)
		// 2026-11-30T10:00:02Z user:alice order.refunded order:42: damaged
		// 2026-11-30T10:00:02Z user:alice orders.updated orders:42
		// 2026-11-30T10:00:01Z user:alice update orders [42]: status: paid → refunded
	}
}

// An item is printed as one line, and is a member "action" or "change" in JSON.
func ExampleItem() {
	before, after := "paid", "refunded"
	at := time.Date(2026, 11, 30, 10, 0, 1, 0, time.UTC)
	item := trail.Item{Change: &changes.Change{ // one of Reader.Page
		XID: 775, TxStartedAt: at, CapturedAt: at, Op: changes.Update, Schema: "public", Table: "orders", Key: []string{"42"},
		By:     &changes.Attribution{State: changes.Recorded, Contexts: []changes.Context{{Actor: hooks.Actor{Type: hooks.User, ID: "alice"}}}},
		Fields: []changes.Field{{Name: "status", Type: "text", Old: changes.Value{Text: &before}, New: changes.Value{Text: &after}}},
	}}
	fmt.Println(item)
	fmt.Println(item.Who(), item.Time(), item.Tx().ID)
	// Output:
	// 2026-11-30T10:00:01Z user:alice update orders [42]: status: paid → refunded
	// user:alice 2026-11-30 10:00:01 +0000 UTC 775
}

// What else happened in the transaction of an item.
func ExampleQuery_transaction() {
	var reader *trail.Reader

	beside := func(ctx context.Context, item trail.Item) (trail.Page, error) {
		return reader.Page(ctx, trail.Query{Tx: item.Tx()})
	}
	_ = beside
}

// All that is known around a correlation, in a file for an auditor.
func ExampleReader_WriteBundle() {
	var reader *trail.Reader

	keep := func(ctx context.Context, name, correlation string) (err error) {
		file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		end, err := reader.WriteBundle(ctx, file, trail.Query{CorrelationID: correlation})
		if err != nil {
			return err
		}
		fmt.Println(end.Transactions, "transactions,", end.Unknown, "things that are not known")
		return nil
	}
	_ = keep
}

// A bundle is read line by line.
func ExampleLine() {
	file := `{"transaction":{"xid":"775","started_at":"2026-11-30T10:00:00.000001Z","state":"none","role":"admin","application":"psql"}}
{"change":{"op":"delete","schema":"public","table":"orders","key":["42"],"xid":"775","tx_started_at":"2026-11-30T10:00:00.000001Z","captured_at":"2026-11-30T10:00:00.000002Z","fields":[]},"matches":true}
{"end":{"transactions":1,"actions":0,"changes":1,"unknown":0,"complete":true}}`
	lines := json.NewDecoder(strings.NewReader(file))
	for lines.More() {
		var line trail.Line
		if err := lines.Decode(&line); err != nil {
			log.Fatal(err)
		}
		switch {
		case line.Transaction != nil:
			fmt.Println(line.Transaction.State, line.Transaction.Role, line.Transaction.Application)
		case line.Change != nil:
			fmt.Println(line.Change.Op, line.Change.Table, line.Change.Key)
		case line.End != nil:
			fmt.Println(line.End.Complete)
		}
	}
	// Output:
	// none admin psql
	// delete orders [42]
	// true
}
