package shop_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/example/shop"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// fixture is a shop with a customer and two products, on a bare database.
type fixture struct {
	*shop.Shop
	db        *sql.DB
	customer  int64
	tea, sofa shop.Product
}

func each(t *testing.T, f func(t *testing.T, s fixture)) {
	t.Helper()
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		t.Helper()
		f(t, open(t, e))
	}, dbtest.SQLite, dbtest.PQ)
}

func open(t *testing.T, e dbtest.Engine) fixture {
	t.Helper()
	dialect := shop.SQLite
	if e.Dialect == hooks.Postgres {
		dialect = shop.Postgres
	}
	db := dbtest.Open(t, e.Driver, e.DSN(t))
	s := fixture{Shop: shop.New(db, dialect), db: db}
	must(t, s.CreateSchema(t.Context()))
	products := []shop.Product{{Name: "tea", Cents: 450, Stock: 10}, {Name: "sofa", Cents: 90000, Stock: 1}}
	must(t, s.AddProducts(t.Context(), products))
	s.tea, s.sofa = products[0], products[1]
	var err error
	s.customer, err = s.SignUp(t.Context(), "Grace", "grace@example.com")
	must(t, err)
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// number reads one number from the database.
func (s fixture) number(t *testing.T, query string) int64 {
	t.Helper()
	var n int64
	must(t, s.db.QueryRowContext(t.Context(), query).Scan(&n))
	return n
}

func (s fixture) expect(t *testing.T, want int64, query string) {
	t.Helper()
	if got := s.number(t, query); got != want {
		t.Errorf("%s = %d, want %d", query, got, want)
	}
}

func (s fixture) order(t *testing.T, coupon string, quantity int64) shop.Order {
	t.Helper()
	must(t, s.AddToCart(t.Context(), s.customer, s.tea.ID, quantity))
	o, err := s.PlaceOrder(t.Context(), s.customer, coupon)
	must(t, err)
	return o
}

func TestOrderTakesStockAndClosesTheCart(t *testing.T) {
	each(t, func(t *testing.T, s fixture) {
		must(t, s.AddToCart(t.Context(), s.customer, s.tea.ID, 1))
		o := s.order(t, "", 2)
		if o.Cents != 3*450 || o.Saved != 0 {
			t.Errorf("order %+v, want 3 teas at 450", o)
		}
		s.expect(t, 7, `SELECT stock FROM products WHERE name = 'tea'`)
		s.expect(t, 3, `SELECT quantity FROM order_items`)
		s.expect(t, 1, `SELECT COUNT(*) FROM carts WHERE state = 'ordered'`)
		if _, err := s.PlaceOrder(t.Context(), s.customer, ""); !errors.Is(err, shop.ErrEmptyCart) {
			t.Errorf("second order: %v, want ErrEmptyCart", err)
		}
	})
}

func TestCouponLowersThePrice(t *testing.T) {
	each(t, func(t *testing.T, s fixture) {
		must(t, s.AddCoupon(t.Context(), "TEN", 10, 5))
		o := s.order(t, "TEN", 2)
		if o.Saved != 90 || o.Cents != 810 {
			t.Errorf("order %+v, want 90 of 900 saved", o)
		}
		s.expect(t, 810, `SELECT total_cents FROM orders`)
		s.expect(t, 90, `SELECT saved_cents FROM coupon_redemptions`)
		s.expect(t, 4, `SELECT uses_left FROM coupons`)
	})
}

func TestRefusedCouponLeavesTheOrder(t *testing.T) {
	each(t, func(t *testing.T, s fixture) {
		must(t, s.AddCoupon(t.Context(), "USEDUP", 10, 0))
		for _, coupon := range []string{"USEDUP", "NEVERWAS"} {
			if o := s.order(t, coupon, 2); o.Saved != 0 || o.Cents != 900 {
				t.Errorf("coupon %s: order %+v, want the full price of 900", coupon, o)
			}
		}
		s.expect(t, 2, `SELECT COUNT(*) FROM orders WHERE state = 'paid'`)
		s.expect(t, 0, `SELECT COUNT(*) FROM coupon_redemptions`)
	})
}

// untouched checks that no order was ever placed.
func (s fixture) untouched(t *testing.T) {
	t.Helper()
	s.expect(t, 0, `SELECT COUNT(*) FROM orders`)
	s.expect(t, 0, `SELECT COUNT(*) FROM order_items`)
	s.expect(t, 10, `SELECT stock FROM products WHERE name = 'tea'`)
	s.expect(t, 1, `SELECT COUNT(*) FROM carts WHERE state = 'open'`)
}

func TestOrderOutOfStockLeavesNothing(t *testing.T) {
	each(t, func(t *testing.T, s fixture) {
		must(t, s.AddToCart(t.Context(), s.customer, s.tea.ID, 1))
		must(t, s.AddToCart(t.Context(), s.customer, s.sofa.ID, 2))
		if _, err := s.PlaceOrder(t.Context(), s.customer, ""); !errors.Is(err, shop.ErrOutOfStock) {
			t.Errorf("two of one sofa: %v, want ErrOutOfStock", err)
		}
		s.untouched(t)
	})
}

func TestDeclinedOrderLeavesNothing(t *testing.T) {
	each(t, func(t *testing.T, s fixture) {
		s.Charge = func(context.Context, int64, int64) error { return shop.ErrDeclined }
		must(t, s.AddToCart(t.Context(), s.customer, s.tea.ID, 1))
		if _, err := s.PlaceOrder(t.Context(), s.customer, ""); !errors.Is(err, shop.ErrDeclined) {
			t.Errorf("declined: %v, want ErrDeclined", err)
		}
		s.untouched(t)
	})
}

func TestRefundOnce(t *testing.T) {
	each(t, func(t *testing.T, s fixture) {
		var told []shop.Refund
		s.Refunded = func(_ context.Context, _ shop.Execer, r shop.Refund) error {
			told = append(told, r)
			return nil
		}
		o := s.order(t, "", 4)
		r, err := s.Refund(t.Context(), o.ID, "damaged")
		must(t, err)
		if r.Cents != 1800 || r.Customer != s.customer || len(told) != 1 || told[0] != r {
			t.Errorf("refund %+v, told %+v", r, told)
		}
		s.expect(t, 10, `SELECT stock FROM products WHERE name = 'tea'`)
		if _, err := s.Refund(t.Context(), o.ID, "again"); !errors.Is(err, shop.ErrNotRefundable) {
			t.Errorf("second refund: %v, want ErrNotRefundable", err)
		}
		if _, err := s.Refund(t.Context(), 999, "no such order"); !errors.Is(err, shop.ErrNotFound) {
			t.Errorf("refund of nothing: %v, want ErrNotFound", err)
		}
		s.expect(t, 1, `SELECT COUNT(*) FROM refunds`)
	})
}

func TestRefundedMayRefuse(t *testing.T) {
	each(t, func(t *testing.T, s fixture) {
		refusal := errors.New("books are closed")
		s.Refunded = func(context.Context, shop.Execer, shop.Refund) error { return refusal }
		o := s.order(t, "", 1)
		if _, err := s.Refund(t.Context(), o.ID, "late"); !errors.Is(err, refusal) {
			t.Errorf("refund: %v, want %v", err, refusal)
		}
		s.expect(t, 0, `SELECT COUNT(*) FROM refunds`)
		s.expect(t, 1, `SELECT COUNT(*) FROM orders WHERE state = 'paid'`)
	})
}

func TestExpireCartsClosesOnlyOldOnes(t *testing.T) {
	each(t, func(t *testing.T, s fixture) {
		now := time.Unix(1_000_000, 0)
		s.Now = func() time.Time { return now }
		must(t, s.AddToCart(t.Context(), s.customer, s.tea.ID, 1))
		now = now.Add(time.Hour)
		other, err := s.SignUp(t.Context(), "Alan", "alan@example.com")
		must(t, err)
		must(t, s.AddToCart(t.Context(), other, s.tea.ID, 1))

		n, err := s.ExpireCarts(t.Context(), time.Hour)
		must(t, err)
		if n != 1 {
			t.Errorf("%d carts expired, want the first one only", n)
		}
		s.expect(t, other, `SELECT customer_id FROM carts WHERE state = 'open'`)
		s.expect(t, 1, `SELECT COUNT(*) FROM cart_items`)
	})
}

func TestRepriceUnknownProduct(t *testing.T) {
	each(t, func(t *testing.T, s fixture) {
		must(t, s.Reprice(t.Context(), s.tea.ID, 500))
		s.expect(t, 500, `SELECT price_cents FROM products WHERE name = 'tea'`)
		if err := s.Reprice(t.Context(), 999, 1); !errors.Is(err, shop.ErrNotFound) {
			t.Errorf("reprice of nothing: %v, want ErrNotFound", err)
		}
	})
}
