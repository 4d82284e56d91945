package shop

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// AddToCart puts a quantity of a product into the customer's open cart.
func (s *Shop) AddToCart(ctx context.Context, customer, product, quantity int64) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		cart, err := s.openCart(ctx, tx, customer)
		if errors.Is(err, ErrNotFound) {
			cart, err = s.insert(ctx, tx,
				`INSERT INTO carts (customer_id, touched_at) VALUES (?, ?) RETURNING id`,
				customer, s.Now().Unix())
		}
		if err != nil {
			return err
		}
		_, err = s.exec(ctx, tx,
			`INSERT INTO cart_items (cart_id, product_id, quantity) VALUES (?, ?, ?)
			ON CONFLICT (cart_id, product_id) DO UPDATE SET quantity = cart_items.quantity + excluded.quantity`,
			cart, product, quantity)
		if err != nil {
			return err
		}
		_, err = s.exec(ctx, tx, `UPDATE carts SET touched_at = ? WHERE id = ?`, s.Now().Unix(), cart)
		return err
	})
}

// ExpireCarts is the nightly job: carts that nobody touched for the given time
// are emptied and closed. It returns how many.
func (s *Shop) ExpireCarts(ctx context.Context, untouched time.Duration) (n int64, err error) {
	limit := s.Now().Add(-untouched).Unix()
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		_, err = s.exec(ctx, tx,
			`DELETE FROM cart_items WHERE cart_id IN
			(SELECT id FROM carts WHERE state = 'open' AND touched_at <= ?)`, limit)
		if err != nil {
			return err
		}
		n, err = s.exec(ctx, tx,
			`UPDATE carts SET state = 'expired' WHERE state = 'open' AND touched_at <= ?`, limit)
		return err
	})
	return n, err
}

func (s *Shop) openCart(ctx context.Context, db Execer, customer int64) (id int64, err error) {
	err = s.get(ctx, db,
		`SELECT id FROM carts WHERE customer_id = ? AND state = 'open'`, []any{customer}, &id)
	return id, err
}

// item is a line of a cart or an order.
type item struct{ product, quantity, cents int64 }

func (s *Shop) cartItems(ctx context.Context, tx *sql.Tx, cart int64) ([]item, error) {
	return s.items(ctx, tx,
		`SELECT p.id, i.quantity, p.price_cents FROM cart_items i
		JOIN products p ON p.id = i.product_id WHERE i.cart_id = ? ORDER BY p.id`, cart)
}

func (s *Shop) orderItems(ctx context.Context, tx *sql.Tx, order int64) ([]item, error) {
	return s.items(ctx, tx,
		`SELECT product_id, quantity, price_cents FROM order_items
		WHERE order_id = ? ORDER BY product_id`, order)
}

func (s *Shop) items(ctx context.Context, tx *sql.Tx, query string, arg int64) ([]item, error) {
	rows, err := tx.QueryContext(ctx, s.dialect.bind(query), arg)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var items []item
	for rows.Next() {
		var i item
		if err := rows.Scan(&i.product, &i.quantity, &i.cents); err != nil {
			return nil, err
		}
		items = append(items, i)
	}
	return items, rows.Err()
}
