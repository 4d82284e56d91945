package shop

import (
	"context"
	"database/sql"
)

// Refund is money given back for a whole order.
type Refund struct {
	ID, Order, Customer, Cents int64
	Reason                     string
}

// Refund gives the money of a paid order back and its items to the shelves.
func (s *Shop) Refund(ctx context.Context, order int64, reason string) (Refund, error) {
	r := Refund{Order: order, Reason: reason}
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		err := s.get(ctx, tx,
			`SELECT customer_id, total_cents FROM orders WHERE id = ?`, []any{order}, &r.Customer, &r.Cents)
		if err != nil {
			return err
		}
		n, err := s.exec(ctx, tx,
			`UPDATE orders SET state = 'refunded' WHERE id = ? AND state = 'paid'`, order)
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrNotRefundable
		}
		r.ID, err = s.insert(ctx, tx,
			`INSERT INTO refunds (order_id, cents, reason, refunded_at) VALUES (?, ?, ?, ?) RETURNING id`,
			order, r.Cents, reason, s.Now().Unix())
		if err != nil {
			return err
		}
		if err := s.restock(ctx, tx, order); err != nil {
			return err
		}
		if s.Refunded == nil {
			return nil
		}
		return s.Refunded(ctx, tx, r)
	})
	return r, err
}

func (s *Shop) restock(ctx context.Context, tx *sql.Tx, order int64) error {
	items, err := s.orderItems(ctx, tx, order)
	if err != nil {
		return err
	}
	for _, i := range items {
		_, err := s.exec(ctx, tx, `UPDATE products SET stock = stock + ? WHERE id = ?`, i.quantity, i.product)
		if err != nil {
			return err
		}
	}
	return nil
}
