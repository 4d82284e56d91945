package shop

import (
	"context"
	"strings"
)

var schema = []string{
	`CREATE TABLE customers (
		id    $serial,
		name  TEXT NOT NULL,
		email TEXT NOT NULL UNIQUE
	)`,
	`CREATE TABLE products (
		id          $serial,
		name        TEXT NOT NULL,
		price_cents BIGINT NOT NULL,
		stock       BIGINT NOT NULL CHECK (stock >= 0)
	)`,
	`CREATE TABLE coupons (
		code      TEXT PRIMARY KEY,
		percent   BIGINT NOT NULL,
		uses_left BIGINT NOT NULL CHECK (uses_left >= 0)
	)`,
	`CREATE TABLE carts (
		id          $serial,
		customer_id BIGINT NOT NULL REFERENCES customers (id),
		state       TEXT NOT NULL DEFAULT 'open',
		touched_at  BIGINT NOT NULL
	)`,
	`CREATE TABLE cart_items (
		cart_id    BIGINT NOT NULL REFERENCES carts (id),
		product_id BIGINT NOT NULL REFERENCES products (id),
		quantity   BIGINT NOT NULL,
		PRIMARY KEY (cart_id, product_id)
	)`,
	`CREATE TABLE orders (
		id          $serial,
		customer_id BIGINT NOT NULL REFERENCES customers (id),
		state       TEXT NOT NULL,
		total_cents BIGINT NOT NULL,
		placed_at   BIGINT NOT NULL
	)`,
	`CREATE TABLE order_items (
		order_id    BIGINT NOT NULL REFERENCES orders (id),
		product_id  BIGINT NOT NULL REFERENCES products (id),
		quantity    BIGINT NOT NULL,
		price_cents BIGINT NOT NULL,
		PRIMARY KEY (order_id, product_id)
	)`,
	`CREATE TABLE coupon_redemptions (
		order_id    BIGINT PRIMARY KEY REFERENCES orders (id),
		code        TEXT NOT NULL REFERENCES coupons (code),
		saved_cents BIGINT NOT NULL
	)`,
	`CREATE TABLE refunds (
		id          $serial,
		order_id    BIGINT NOT NULL UNIQUE REFERENCES orders (id),
		cents       BIGINT NOT NULL,
		reason      TEXT NOT NULL,
		refunded_at BIGINT NOT NULL
	)`,
}

// CreateSchema creates the shop's tables in an empty database.
func (s *Shop) CreateSchema(ctx context.Context) error {
	serial := "INTEGER PRIMARY KEY AUTOINCREMENT"
	if s.dialect == Postgres {
		serial = "BIGSERIAL PRIMARY KEY"
	}
	for _, ddl := range schema {
		if _, err := s.db.ExecContext(ctx, strings.ReplaceAll(ddl, "$serial", serial)); err != nil {
			return err
		}
	}
	return nil
}
