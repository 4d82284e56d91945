package changes_test

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/search"
)

// A page of what somebody asks for in the words of package search: who has refunded orders in the last three days?
func ExampleStore_Page() {
	var store *changes.Store

	show := func(ctx context.Context, words, cursor string) (next string, err error) {
		terms, err := search.Parse(words) // `table:orders new.status:refunded after:3d`
		if err != nil {
			return "", err
		}
		q, err := terms.Changes(time.Now())
		if err != nil {
			return "", err // it points at the word
		}
		q.Cursor = cursor
		page, err := store.Page(ctx, q)
		if err != nil {
			return "", terms.Explain(err) // so does this, say because the table was never captured
		}
		for _, c := range page.Changes {
			fmt.Println(c.CapturedAt, c.By, c.Op, c.Table, c.Key)
			for _, f := range c.Fields {
				fmt.Println("\t", f.Name, f.Old, "→", f.New)
			}
		}
		return page.Next, nil
	}
	_ = show
}

// All changes that match, without pages.
func ExampleStore_Each() {
	var store *changes.Store

	show := func(ctx context.Context) error {
		terms, err := search.Parse("actor:alice table:orders -op:delete field:status new.status:paid after:2d")
		if err != nil {
			return err // it points at the word
		}
		query, err := terms.Changes(time.Now())
		if err != nil {
			return err
		}
		for change, err := range store.Each(ctx, query) {
			if err != nil {
				return terms.Explain(err)
			}
			fmt.Println(change.CapturedAt, change.By, change.Op, change.Table, change.Key)
		}
		return nil
	}
	_ = show
}

// A program may also fill in a Query itself: which orders were refunded since a day, and by whom?
func ExampleQuery() {
	var store *changes.Store

	refunds := func(ctx context.Context, since time.Time) error {
		q := changes.Query{
			Tables: []string{"orders"},
			New:    []changes.FieldValue{{Field: "status", Text: "refunded"}},
			Not:    []changes.Query{{Ops: []changes.Op{changes.Insert}}},
			From:   since,
		}
		for change, err := range store.Each(ctx, q) {
			if err != nil {
				return err
			}
			fmt.Println(change.CapturedAt, change.By, change.Key)
		}
		return nil
	}
	_ = refunds
}

// A program that copies all changes elsewhere, each once, goes on where it was when it starts again.
func ExamplePage_follow() {
	var store *changes.Store

	follow := func(ctx context.Context, cursor string, keep func(list []changes.Change, cursor string) error) error {
		q := changes.Query{OldestFirst: true, Limit: changes.MaxLimit, Cursor: cursor}
		for {
			page, err := store.Page(ctx, q)
			if err != nil {
				return err
			}
			q.Cursor = cmp.Or(page.Next, page.Follow)
			if err := keep(page.Changes, q.Cursor); err != nil {
				return err
			}
			if page.Next != "" {
				continue
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Second):
			}
		}
	}
	_ = follow
}
