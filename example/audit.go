package main

import (
	"context"
	"strconv"

	_ "github.com/lib/pq"  // "postgres"
	_ "modernc.org/sqlite" // "sqlite"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/example/shop"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// warehouse and bookkeeping are sinks beside the timeline: other systems.
var warehouse, bookkeeping = &webhook{}, &webhook{}

// A program with one database has one of these.
var (
	onSQLite   = forward.New(nil)
	onPostgres = forward.New(nil)
)

func init() {
	for name, audit := range map[string]*forward.Hub{"sqlite": onSQLite, "postgres": onPostgres} {
		audit.Register(threadline.NewForwarder(nil), forward.Auto) // no database named: the shop's own
		audit.Register(warehouse, forward.Auto)
		driver.Register(name+"-audited", name, audit, driver.Capture(driver.AllTables()),
			driver.DefaultActor(hooks.Actor{Type: hooks.System, Name: "shop"}))
	}
	onPostgres.Keep(capture.Of(
		capture.Table{Name: "orders"}, capture.Table{Name: "order_items"},
		capture.Table{Name: "coupon_redemptions"}, capture.Table{Name: "refunds"},
		capture.Table{Name: "customers", Mask: []string{"email"}}))
	onPostgres.Register(bookkeeping, forward.Auto, forward.ID("bookkeeping"),
		forward.WithChanges(changes.NewSource(nil)), forward.Filter(isChange))
}

// isChange reports whether an entry is a row change. The events are for the warehouse.
func isChange(e journal.Entry) bool { return e.Change != nil }

// recordRefund says what a change of tables cannot: why. Where nobody does, the refund is rolled back.
func recordRefund(ctx context.Context, tx shop.Execer, r shop.Refund) error {
	if r.Reason == "" {
		return shop.ErrNoReason
	}
	return hooks.Record(ctx, tx, hooks.Event{
		Action:   "order.refunded",
		Target:   hooks.Target{Type: "order", ID: strconv.FormatInt(r.Order, 10)},
		Reason:   r.Reason,
		Metadata: map[string]any{"cents": r.Cents},
	})
}
