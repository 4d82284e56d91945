package main

import (
	"context"
	"strconv"

	_ "github.com/lib/pq"  // "postgres"
	_ "modernc.org/sqlite" // "sqlite"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/example/shop"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

// warehouse is a second sink, beside the timeline.
var warehouse = &webhook{}

var audit = forward.New(nil)

func init() {
	audit.Register(threadline.NewForwarder(nil), forward.Auto) // no database named: the shop's own
	audit.Register(warehouse, forward.Auto)
	audit.Keep(changes.Of( // on PostgreSQL
		changes.Table{Name: "orders"}, changes.Table{Name: "order_items"},
		changes.Table{Name: "coupon_redemptions"}, changes.Table{Name: "refunds"},
		changes.Table{Name: "customers", Mask: []string{"email"}}))
	self := driver.DefaultActor(hooks.Actor{Type: hooks.System, Name: "shop"})
	driver.Register("sqlite-audited", "sqlite", audit, driver.Capture(driver.AllTables()), self)
	driver.Register("postgres-audited", "postgres", audit, driver.Capture(driver.AllTables()), self)
}

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
