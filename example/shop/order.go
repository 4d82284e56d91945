package shop

import (
	"context"
	"database/sql"
	"errors"
)

// Order is what PlaceOrder returns.
type Order struct {
	ID    int64 `json:"id"`
	Cents int64 `json:"cents"`
	// Saved is what a coupon took off, in cents; zero where none was applied.
	Saved int64 `json:"saved"`
}

// PlaceOrder turns the customer's cart into a paid order. A coupon that cannot
// be applied costs the customer the discount, not the order.
func (s *Shop) PlaceOrder(ctx context.Context, customer int64, coupon string) (Order, error) {
	var o Order
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		cart, err := s.openCart(ctx, tx, customer)
		if errors.Is(err, ErrNotFound) {
			return ErrEmptyCart
		}
		if err != nil {
			return err
		}
		if o, err = s.orderFrom(ctx, tx, customer, cart); err != nil {
			return err
		}
		if coupon != "" {
			if o.Saved, err = s.tryCoupon(ctx, tx, o, coupon); err != nil {
				return err
			}
			o.Cents -= o.Saved
		}
		return s.pay(ctx, tx, customer, cart, o)
	})
	return o, err
}

// orderFrom writes an unpaid order with the items of a cart.
func (s *Shop) orderFrom(ctx context.Context, tx *sql.Tx, customer, cart int64) (Order, error) {
	items, err := s.cartItems(ctx, tx, cart)
	if err != nil {
		return Order{}, err
	}
	if len(items) == 0 {
		return Order{}, ErrEmptyCart
	}
	var o Order
	for _, i := range items {
		o.Cents += i.quantity * i.cents
	}
	o.ID, err = s.insert(ctx, tx,
		`INSERT INTO orders (customer_id, state, total_cents, placed_at)
		VALUES (?, 'new', ?, ?) RETURNING id`, customer, o.Cents, s.Now().Unix())
	if err != nil {
		return Order{}, err
	}
	for _, i := range items {
		if err := s.takeStock(ctx, tx, i.product, i.quantity); err != nil {
			return Order{}, err
		}
		_, err := s.exec(ctx, tx,
			`INSERT INTO order_items (order_id, product_id, quantity, price_cents) VALUES (?, ?, ?, ?)`,
			o.ID, i.product, i.quantity, i.cents)
		if err != nil {
			return Order{}, err
		}
	}
	return o, nil
}

// tryCoupon applies a coupon under a savepoint: what it wrote is undone if the
// coupon turns out to be unknown or used up, and the order goes on.
func (s *Shop) tryCoupon(ctx context.Context, tx Execer, o Order, code string) (saved int64, err error) {
	if _, err = tx.ExecContext(ctx, `SAVEPOINT coupon`); err != nil {
		return 0, err
	}
	saved, refused := s.redeem(ctx, tx, o, code)
	if refused != nil {
		_, err = tx.ExecContext(ctx, `ROLLBACK TO SAVEPOINT coupon`)
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `RELEASE SAVEPOINT coupon`)
	return saved, err
}

// redeem leaves it to the table's CHECK to refuse a coupon that is used up.
func (s *Shop) redeem(ctx context.Context, tx Execer, o Order, code string) (saved int64, err error) {
	var percent int64
	err = s.get(ctx, tx, `SELECT percent FROM coupons WHERE code = ?`, []any{code}, &percent)
	if err != nil {
		return 0, err
	}
	saved = o.Cents * percent / 100
	_, err = s.exec(ctx, tx,
		`INSERT INTO coupon_redemptions (order_id, code, saved_cents) VALUES (?, ?, ?)`,
		o.ID, code, saved)
	if err != nil {
		return 0, err
	}
	_, err = s.exec(ctx, tx, `UPDATE coupons SET uses_left = uses_left - 1 WHERE code = ?`, code)
	return saved, err
}

func (s *Shop) pay(ctx context.Context, tx Execer, customer, cart int64, o Order) error {
	if err := s.Charge(ctx, customer, o.Cents); err != nil {
		return err
	}
	_, err := s.exec(ctx, tx,
		`UPDATE orders SET state = 'paid', total_cents = ? WHERE id = ?`, o.Cents, o.ID)
	if err != nil {
		return err
	}
	_, err = s.exec(ctx, tx, `UPDATE carts SET state = 'ordered' WHERE id = ?`, cart)
	return err
}
