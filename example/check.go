package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"strconv"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// check compares three things: the shop's tables, the journal, the timeline.
// All of them are read over a connection that nothing wraps.
type check struct {
	out     io.Writer
	db      *sql.DB
	dialect hooks.Dialect

	journal, timeline []record
	story             *story // nil where no row changes are kept
	books             *depot // and nil where none are delivered
	wrong             int
}

func (c *check) read(ctx context.Context) (err error) {
	if c.journal, err = journalRows(ctx, c.db, c.dialect); err != nil {
		return err
	}
	c.timeline, err = timelineRows(ctx, c.db, c.dialect)
	return err
}

// line prints one result.
func (c *check) line(ok bool, format string, args ...any) {
	word := "ok   "
	if !ok {
		word = "WRONG"
		c.wrong++
	}
	fmt.Fprintf(c.out, "%s  %s\n", word, fmt.Sprintf(format, args...))
}

// all makes every comparison and reports whether nothing was wrong.
func (c *check) all(ctx context.Context, d *day) (bool, error) {
	fmt.Fprintln(c.out, "\nTHE CHECK: the shop's tables, the journal and the timeline, read over bare connections")
	c.sameInBoth()
	for _, step := range []func(context.Context) error{c.tables, c.orders(d.web.log), c.refunds, c.nightly} {
		if err := step(ctx); err != nil {
			return false, err
		}
	}
	c.absent(d.web.log)
	if err := c.told(ctx, d.undo); err != nil {
		return false, err
	}
	c.attributed()
	c.delivered(d.depot)
	if err := c.booked(ctx); err != nil {
		return false, err
	}
	if c.wrong > 0 {
		fmt.Fprintf(c.out, "%d of these are WRONG\n", c.wrong)
	}
	return c.wrong == 0, nil
}

// sameInBoth: the timeline has each entry of the journal once and unchanged, and
// nothing else.
func (c *check) sameInBoth() {
	inTimeline := make(map[record]int, len(c.timeline))
	for _, r := range c.timeline {
		inTimeline[r]++
	}
	same := count(c.journal, func(r record) bool { return inTimeline[r] == 1 })
	c.line(same == len(c.journal) && same == len(c.timeline) && same > 0,
		"events: in the journal %d, in the timeline %d, the same in both %d", len(c.journal), len(c.timeline), same)
}

// tables: what the journal says was inserted and deleted is what is there.
// (cart_items is left out: its rows are upserted, so counting them says little.)
func (c *check) tables(ctx context.Context) error {
	for _, table := range []string{
		"customers", "products", "coupons", "carts", "orders", "order_items", "coupon_redemptions", "refunds",
	} {
		rows, err := c.number(ctx, `SELECT count(*) FROM `+table)
		if err != nil {
			return err
		}
		inserted, err := sum(c.timeline, table+".inserted")
		if err != nil {
			return err
		}
		deleted, err := sum(c.timeline, table+".deleted")
		if err != nil {
			return err
		}
		c.line(rows == inserted-deleted, "%s: rows %d; in the timeline inserted %d, deleted %d", table, rows, inserted, deleted)
	}
	return nil
}

// refunds: each has its reason, its money and who it was for in the timeline.
func (c *check) refunds(ctx context.Context) error {
	rows, err := c.db.QueryContext(ctx, `SELECT r.order_id, r.cents, r.reason, o.customer_id
		FROM refunds r JOIN orders o ON o.id = r.order_id ORDER BY r.id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	var refunds int
	for rows.Next() {
		var order, cents, customer int64
		var reason string
		if err := rows.Scan(&order, &cents, &reason, &customer); err != nil {
			return err
		}
		refunds++
		found := count(c.timeline, func(r record) bool {
			n, err := r.number("cents")
			return err == nil && n == cents && r.action == "order.refunded" &&
				r.targetID == strconv.FormatInt(order, 10) && r.reason == reason &&
				r.actorType == "admin" && r.onBehalfOf == strconv.FormatInt(customer, 10)
		})
		c.line(found == 1, "refund of order %d, %d cents, %q: events by an admin on behalf of customer %d: %d",
			order, cents, reason, customer, found)
	}
	told := count(c.timeline, func(r record) bool { return r.action == "order.refunded" })
	c.line(told == refunds, "refunds: rows %d, events %d", refunds, told)
	return rows.Err()
}

// nightly: carts that expired were closed by the job.
func (c *check) nightly(ctx context.Context) error {
	expired, err := c.number(ctx, `SELECT count(*) FROM carts WHERE state = 'expired'`)
	if err != nil {
		return err
	}
	var byJob []record
	for _, r := range c.timeline {
		if r.actorType == "job" && r.actorID == "expire-carts" {
			byJob = append(byJob, r)
		}
	}
	told, err := sum(byJob, "carts.updated")
	if err != nil {
		return err
	}
	c.line(expired == told, "carts: expired %d; in the timeline closed by job:expire-carts %d", expired, told)
	return nil
}

// attributed: somebody is named for everything.
func (c *check) attributed() {
	unknown := count(c.timeline, func(r record) bool { return r.actorType == "" })
	c.line(unknown == 0, "actors: events without one %d of %d", unknown, len(c.timeline))
}

// booked: bookkeeping has each row change once.
func (c *check) booked(ctx context.Context) error {
	if c.books == nil {
		return nil
	}
	kept, err := c.number(ctx, `SELECT count(*) FROM threadline.audit_changes`)
	if err != nil {
		return err
	}
	has := int64(len(c.books.ids()))
	c.line(has == kept && has > 0, "bookkeeping: row changes %d, kept by triggers %d", has, kept)
	return nil
}

// delivered: the warehouse has what the journal has.
func (c *check) delivered(d *depot) {
	has := d.ids()
	got := count(c.journal, func(r record) bool { return has[r.id] })
	c.line(got == len(c.journal) && got == len(has), "warehouse: events %d, in the journal %d, in both %d", len(has), len(c.journal), got)
}

func (c *check) number(ctx context.Context, query string) (n int64, err error) {
	err = c.db.QueryRowContext(ctx, query).Scan(&n)
	return n, err
}
