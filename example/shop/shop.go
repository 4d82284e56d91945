// Package shop is a small web shop of the kind that is already in production:
// plain database/sql, handlers, a nightly job. It knows nothing of audit
// trails and imports only the standard library.
package shop

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// The refusals of the shop; anything else is a failure of the database.
var (
	ErrEmptyCart     = errors.New("shop: the cart is empty")
	ErrOutOfStock    = errors.New("shop: out of stock")
	ErrDeclined      = errors.New("shop: the payment was declined")
	ErrNotFound      = errors.New("shop: not found")
	ErrNoReason      = errors.New("shop: a refund needs a reason")
	ErrNotRefundable = errors.New("shop: the order is not paid, or already refunded")
)

// Shop sells. Its exported fields may be set before first use.
type Shop struct {
	// Now is the shop's clock.
	Now func() time.Time
	// Charge takes the money for an order, inside the order's transaction; its
	// error rolls the order back. By default everything is paid.
	Charge func(ctx context.Context, customer, cents int64) error
	// Refunded, if set, is called inside the transaction of each refund; its
	// error rolls the refund back. Bookkeeping hangs here.
	Refunded func(ctx context.Context, tx Execer, r Refund) error

	// Sessions are the logins of customers and staff.
	Sessions *Sessions

	db      *sql.DB
	dialect Dialect
}

// New returns a shop on a database that has the shop's schema, or will have it
// after [Shop.CreateSchema].
func New(db *sql.DB, dialect Dialect) *Shop {
	return &Shop{
		Now:      time.Now,
		Charge:   func(context.Context, int64, int64) error { return nil },
		Sessions: NewSessions(),
		db:       db,
		dialect:  dialect,
	}
}
