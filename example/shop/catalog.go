package shop

import (
	"context"
	"database/sql"
)

// Product is a thing for sale.
type Product struct {
	ID, Cents, Stock int64
	Name             string
}

// AddProducts puts products on the shelves, all or none, and sets their IDs.
func (s *Shop) AddProducts(ctx context.Context, products []Product) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		for i := range products {
			p := &products[i]
			id, err := s.insert(ctx, tx,
				`INSERT INTO products (name, price_cents, stock) VALUES (?, ?, ?) RETURNING id`,
				p.Name, p.Cents, p.Stock)
			if err != nil {
				return err
			}
			p.ID = id
		}
		return nil
	})
}

// AddCoupon issues a coupon that takes percent off, uses times.
func (s *Shop) AddCoupon(ctx context.Context, code string, percent, uses int64) error {
	_, err := s.exec(ctx, s.db,
		`INSERT INTO coupons (code, percent, uses_left) VALUES (?, ?, ?)`, code, percent, uses)
	return err
}

// Reprice changes a product's price, in cents.
func (s *Shop) Reprice(ctx context.Context, product, cents int64) error {
	n, err := s.exec(ctx, s.db, `UPDATE products SET price_cents = ? WHERE id = ?`, cents, product)
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return err
}

// SignUp adds a customer and returns the new customer's ID.
func (s *Shop) SignUp(ctx context.Context, name, email string) (int64, error) {
	return s.insert(ctx, s.db,
		`INSERT INTO customers (name, email) VALUES (?, ?) RETURNING id`, name, email)
}

// takeStock takes a quantity off the shelf. It changes nothing if there is
// less than that.
func (s *Shop) takeStock(ctx context.Context, db Execer, product, quantity int64) error {
	n, err := s.exec(ctx, db,
		`UPDATE products SET stock = stock - ? WHERE id = ? AND stock >= ?`,
		quantity, product, quantity)
	if err == nil && n == 0 {
		return ErrOutOfStock
	}
	return err
}
