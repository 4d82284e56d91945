package changes_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// webhook is a forwarder to another system.
type webhook struct{}

// Forward gets the events of a transaction first, and then its row changes.
func (webhook) Forward(_ context.Context, entries []journal.Entry) error {
	for _, e := range entries {
		if e.Change == nil { // an event
			fmt.Println(e.Tx.ID, e.Action, "by", e.Actor.ID)
			continue
		}
		var d changes.Diff
		if err := json.Unmarshal(e.Change, &d); err != nil {
			return forward.Permanent("unreadable", err)
		}
		fmt.Println(e.Tx.ID, d.Op, d.Table, d.Key, d.Fields)
	}
	return nil
}

// Another system gets the events and the row changes of each transaction, after its commit.
func ExampleNewSource() {
	audit := forward.New(nil)
	audit.Keep(capture.Of(capture.Table{Name: "orders"}, capture.Table{Name: "order_lines"}))
	audit.Register(webhook{}, forward.Async, forward.WithChanges(changes.NewSource(nil)))
}

// Another system gets the row changes of one table, and no events.
func ExampleNewSource_filter() {
	audit := forward.New(nil)
	audit.Keep(capture.Of(capture.Table{Name: "orders"}, capture.Table{Name: "order_lines"}))
	audit.Register(webhook{}, forward.Async,
		forward.WithChanges(changes.NewSource(nil)),
		forward.Filter(func(e journal.Entry) bool { return e.Change != nil && e.Target.Type == "order_lines" }))
}

// A program that asks how delivery stands, or replays, names the forwarders that get row changes.
func ExampleNewSource_relay() {
	states := func(ctx context.Context, db *sql.DB) ([]relay.State, error) {
		store, err := relay.New(hooks.Postgres, &relay.Options{
			Changes: map[string]relay.Changes{"main.webhook/default": changes.NewSource(nil)},
		})
		if err != nil {
			return nil, err
		}
		return store.States(ctx, db)
	}
	_ = states
}

// A purge of the app's journal also deletes the row changes that the archive has.
func ExampleKeptIn() {
	purge := func(ctx context.Context, db, archive *sql.DB, march time.Time) error {
		store, err := relay.New(hooks.Postgres, nil)
		if err != nil {
			return err
		}
		kept := changes.NewStore(archive, hooks.Postgres, nil)
		purged, err := store.Purge(ctx, db, relay.PurgeOptions{Before: march, By: "ops", Changes: changes.KeptIn(kept, nil)})
		if err != nil {
			return err
		}
		fmt.Println(purged.Changes, "row changes were deleted here, and", purged.ChangesKept, "of that age have to stay")
		return nil
	}
	_ = purge
}
