package main

import (
	"context"
	"fmt"
	"time"

	"github.com/go-aftercommit/aftercommit/example/shop"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
)

// day is what happens in the shop on one day.
type day struct {
	*shop.Shop
	web    *client
	depot  *depot
	audit  *forward.Hub
	orders int // ordinary ones, beside those that tell the story

	tea, mug, sofa     int64 // products
	grace, alan, edgar customer
	linus              string // session of staff
	first              int64  // order

	undo *undo.Script // of what was done behind the shop's back, nil where no row changes are kept
}

// line is a product in a cart.
type line struct{ product, quantity int64 }

type customer struct {
	ID      int64
	Session string
}

// deed is a part of the day.
type deed func(ctx context.Context) error

func (d *day) deeds() []deed {
	deeds := []deed{d.open, d.fillShelves, d.signUps, d.coupons, d.declined, d.soldOut, d.reprice}
	for i := range d.orders {
		deeds = append(deeds, d.ordinary(i))
	}
	return append(deeds, d.outage, d.refund, d.leaveCart, d.night)
}

func (d *day) open(ctx context.Context) error {
	d.Refunded = recordRefund
	d.Charge = func(_ context.Context, _, cents int64) error {
		if cents > 50_000 { // the limit of everybody's card
			return shop.ErrDeclined
		}
		return nil
	}
	d.linus = d.Sessions.Open(shop.Session{User: "linus", Name: "Linus", Staff: true})
	if err := d.CreateSchema(ctx); err != nil {
		return err
	}
	return d.audit.AwaitKept(ctx) // so that row changes are kept from the first order on
}

func (d *day) fillShelves(ctx context.Context) error {
	ctx = hooks.WithActor(ctx, hooks.Actor{Type: hooks.Job, ID: "stock-import"})
	products := []shop.Product{
		{Name: "tea", Cents: 450, Stock: 1_000_000},
		{Name: "mug", Cents: 1200, Stock: 1_000_000},
		{Name: "sofa", Cents: 90_000, Stock: 1},
	}
	if err := d.AddProducts(ctx, products); err != nil {
		return err
	}
	d.tea, d.mug, d.sofa = products[0].ID, products[1].ID, products[2].ID
	return d.AddCoupon(ctx, "FIRST", 10, 1) // for whoever comes first
}

func (d *day) signUps(ctx context.Context) error {
	for _, new := range []struct {
		name string
		to   *customer
	}{{"Grace", &d.grace}, {"Alan", &d.alan}, {"Edgar", &d.edgar}} {
		err := d.web.must(ctx, "", new.name+" signs up", "/customers",
			map[string]any{"name": new.name, "email": new.name + "@example.com"}, new.to)
		if err != nil {
			return err
		}
	}
	return nil
}

// coupons: Grace is first. For Alan the shop rolls back to its savepoint, and
// his order goes on without a discount.
func (d *day) coupons(ctx context.Context) error {
	var err error
	if d.first, err = d.buys(ctx, d.grace, "Grace", "FIRST", line{d.tea, 2}, line{d.mug, 1}); err != nil {
		return err
	}
	_, err = d.buys(ctx, d.alan, "Alan", "FIRST", line{d.mug, 2})
	return err
}

// declined: the order is written, items, stock and all, and then rolled back.
func (d *day) declined(ctx context.Context) error {
	if err := d.puts(ctx, d.edgar, "Edgar", d.sofa, 1); err != nil {
		return err
	}
	return d.refuses(ctx, d.edgar, "Edgar orders a sofa that his card cannot pay")
}

func (d *day) soldOut(ctx context.Context) error {
	if err := d.puts(ctx, d.edgar, "Edgar", d.sofa, 1); err != nil {
		return err
	}
	return d.refuses(ctx, d.edgar, "Edgar orders two sofas where there is one")
}

func (d *day) reprice(ctx context.Context) error {
	return d.web.must(ctx, d.linus, "Linus raises the price of tea",
		fmt.Sprintf("/products/%d/price", d.tea), map[string]any{"cents": 475}, nil)
}

// ordinary returns one of the many orders of which nobody talks.
func (d *day) ordinary(i int) deed {
	return func(ctx context.Context) error {
		who, name := d.grace, "Grace"
		if i%2 == 1 {
			who, name = d.alan, "Alan"
		}
		_, err := d.buys(ctx, who, name, "", line{d.tea, int64(1 + i%3)})
		return err
	}
}

// outage: the warehouse does not answer, and the shop sells all the same.
func (d *day) outage(ctx context.Context) error {
	d.depot.close(true)
	defer d.depot.close(false)
	_, err := d.buys(ctx, d.alan, "Alan", "", line{d.tea, 1}, line{d.mug, 1})
	return err
}

// refund: Linus of the staff acts for Grace.
func (d *day) refund(ctx context.Context) error {
	var helping struct{ Session string }
	err := d.web.must(ctx, d.linus, "Linus helps Grace",
		fmt.Sprintf("/customers/%d/help", d.grace.ID), nil, &helping)
	if err != nil {
		return err
	}
	r, err := d.web.post(ctx, helping.Session, "Linus refunds Grace's first order and does not say why",
		fmt.Sprintf("/orders/%d/refund", d.first), map[string]any{}, nil)
	if err != nil || !r.refused() {
		return fmt.Errorf("a refund without a reason: %d, %w", r.status, err)
	}
	return d.web.must(ctx, helping.Session, "Linus refunds Grace's first order",
		fmt.Sprintf("/orders/%d/refund", d.first), map[string]any{"reason": "mug broken in transit"}, nil)
}

func (d *day) leaveCart(ctx context.Context) error {
	return d.puts(ctx, d.grace, "Grace", d.mug, 3)
}

// night is a job without a request: it says itself who it is.
func (d *day) night(ctx context.Context) error {
	ctx = hooks.With(ctx, hooks.Values{
		Actor: hooks.Actor{Type: hooks.Job, ID: "expire-carts"},
		JobID: "nightly",
	})
	d.Now = func() time.Time { return time.Now().Add(12 * time.Hour) }
	_, err := d.ExpireCarts(ctx, 6*time.Hour)
	return err
}

func (d *day) puts(ctx context.Context, who customer, name string, product, quantity int64) error {
	return d.web.must(ctx, who.Session, name+" fills the cart", "/cart",
		map[string]any{"product": product, "quantity": quantity}, nil)
}

// buys fills the cart, orders, and returns the order's ID.
func (d *day) buys(ctx context.Context, who customer, name, coupon string, lines ...line) (int64, error) {
	for _, l := range lines {
		if err := d.puts(ctx, who, name, l.product, l.quantity); err != nil {
			return 0, err
		}
	}
	var o shop.Order
	err := d.web.must(ctx, who.Session, name+" orders", "/orders", map[string]any{"coupon": coupon}, &o)
	return o.ID, err
}

// refuses sends an order that the shop has to refuse.
func (d *day) refuses(ctx context.Context, who customer, what string) error {
	r, err := d.web.post(ctx, who.Session, what, "/orders", map[string]any{}, nil)
	if err == nil && !r.refused() {
		err = fmt.Errorf("%s: the shop accepted it", what)
	}
	return err
}
