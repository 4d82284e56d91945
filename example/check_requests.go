package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/go-aftercommit/aftercommit/example/shop"
)

// of counts what a request left in a table of events.
func of(all []record, request, action string) int {
	return count(all, func(r record) bool {
		return r.request == request && (action == "" || r.action == action)
	})
}

// printAbsent tells what the timeline does not have, because it never happened.
func (c *check) printAbsent(log []request) {
	fmt.Fprintln(c.out, "\nNot in the timeline, because it never happened:")
	for _, r := range log {
		if r.refused() {
			fmt.Fprintf(c.out, "  %s  %s: %s (events: %d)\n", r.id, r.what, r.answer, of(c.timeline, r.id, ""))
		}
	}
	for _, r := range log {
		if o, ok := order(r); ok && r.in["coupon"] != "" && o.Saved == 0 {
			fmt.Fprintf(c.out, "  %s  %s: the coupon %v was used up, the shop went back to its savepoint (redemptions: %d)\n",
				r.id, r.what, r.in["coupon"], of(c.timeline, r.id, "coupon_redemptions.inserted"))
		}
	}
}

// absent: a request whose transaction was rolled back left nothing.
func (c *check) absent(log []request) {
	refused, left := 0, 0
	for _, r := range log {
		if r.refused() {
			refused++
			left += of(c.journal, r.id, "") + of(c.timeline, r.id, "")
		}
	}
	c.line(refused > 0 && left == 0, "refused requests: %d, events that they left %d", refused, left)
}

// orders: each accepted request has its row and its event; and a redemption
// where there is a row of it, and only there.
func (c *check) orders(log []request) func(context.Context) error {
	return func(ctx context.Context) error {
		accepted, told, agree, redeemed := 0, 0, 0, int64(0)
		for _, r := range log {
			o, ok := order(r)
			if !ok {
				continue
			}
			accepted++
			told += of(c.timeline, r.id, "orders.inserted")
			rows, err := c.number(ctx, fmt.Sprintf(`SELECT count(*) FROM coupon_redemptions WHERE order_id = %d`, o.ID))
			if err != nil {
				return err
			}
			redeemed += rows
			if int64(of(c.timeline, r.id, "coupon_redemptions.inserted")) == rows {
				agree++
			}
		}
		rows, err := c.number(ctx, `SELECT count(*) FROM orders`)
		if err != nil {
			return err
		}
		c.line(int64(accepted) == rows && told == accepted, "orders: accepted %d, rows %d, events %d", accepted, rows, told)
		c.line(agree == accepted, "coupons: redeemed by %d of %d orders; rows and events agree for %d", redeemed, accepted, agree)
		return nil
	}
}

// order returns the order that a request placed.
func order(r request) (o shop.Order, ok bool) {
	if r.path != "/orders" || r.refused() || !strings.HasPrefix(r.answer, "{") {
		return o, false
	}
	return o, json.Unmarshal([]byte(r.answer), &o) == nil
}
