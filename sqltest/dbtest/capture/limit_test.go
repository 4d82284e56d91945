package capture_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestLimits: what is beyond a transaction's limits is refused with an error
// that says so, and the transaction goes on with what it has.
func TestLimits(t *testing.T) {
	t.Run("events", func(t *testing.T) {
		dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
			w := newWorld(t, e, ordersTable, driver.Limits(2, 1<<20))
			tx := w.begin()
			w.execOn(tx, "INSERT INTO orders (id) VALUES (1)")
			w.record(tx, "a")
			w.wantText(hooks.Record(ctx(), tx, noted("b")), "2 events", "driver.Limits")
			w.must(tx.Commit())
			w.want("orders.inserted orders#1 statements=1 rows=1", "thing.noted thing#a")
			w.record(w.db, "the next one")
			w.want("thing.noted thing#the next one")
		})
	})
	t.Run("bytes", func(t *testing.T) {
		dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
			w := newWorld(t, e, ordersTable, driver.Limits(1000, 20_000))
			tx := w.begin()
			w.execOn(tx, "INSERT INTO orders (id) VALUES (1)")
			large := noted("large")
			large.Comment = strings.Repeat("x", 8000)
			w.must(hooks.Record(ctx(), tx, large))
			w.must(hooks.Record(ctx(), tx, large))
			w.wantText(hooks.Record(ctx(), tx, large), "20000", "driver.Limits")
			w.record(tx, "small")
			w.must(tx.Commit())
			w.want("orders.inserted orders#1 statements=1 rows=1", "thing.noted thing#large", "thing.noted thing#large", "thing.noted thing#small")
		})
	})
}

// TestLimitOfCapturedBytes: captured events count towards both limits.
func TestLimitOfCapturedBytes(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, ordersTable, driver.Limits(1000, 20_000))
		tx := w.begin()
		const many = 60
		long := hooks.With(ctx(), hooks.Values{UserAgent: strings.Repeat("x", 500)})
		for i := range many {
			w.must(tx.ExecContext(long, fmt.Sprintf("INSERT INTO orders (id) VALUES (%d)", i)))
		}
		w.must(tx.Commit())
		events := w.events()
		if n := len(events); n < 10 || n > 20 {
			w.Errorf("%d events of about 1,100 bytes, want as many as fit into 20,000", n)
		}
		if n := w.told.total(hooks.NoticeUncaptured); n+len(events) != many {
			w.Errorf("%d statements are counted as uncaptured, beside %d events", n, len(events))
		}
	})
}

// TestLimitsAndSavepoints: what a ROLLBACK TO takes back counts no more.
func TestLimitsAndSavepoints(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, ordersTable, driver.Limits(2, 20_000))
		tx := w.begin()
		w.execOn(tx, "INSERT INTO orders (id) VALUES (1)")
		for range 5 {
			w.execOn(tx, "SAVEPOINT s")
			large := noted("large")
			large.Comment = strings.Repeat("x", 8000)
			w.must(hooks.Record(ctx(), tx, large))
			w.execOn(tx, "ROLLBACK TO s")
		}
		w.record(tx, "kept")
		w.must(tx.Commit())
		w.want("orders.inserted orders#1 statements=1 rows=1", "thing.noted thing#kept")
	})
}

// TestDefaultLimit: without an option, a transaction takes ten thousand events.
func TestDefaultLimit(t *testing.T) {
	each(t, "", func(w *world) {
		tx := w.begin()
		for range 10_000 {
			w.record(tx, "many")
		}
		w.wantText(hooks.Record(ctx(), tx, noted("more")), "10000 events")
		w.must(tx.Rollback())
		w.want()
	})
}

// TestManyEvents: a transaction's events are one write, whatever their number.
func TestManyEvents(t *testing.T) {
	const many = 1000
	each(t, "", func(w *world) {
		tx := w.begin()
		for range many {
			w.record(tx, "many")
		}
		w.must(tx.Commit())
		if n := len(w.events()); n != many {
			w.Errorf("%d events, want %d", n, many)
		}
	})
}
