package bench

import (
	"fmt"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
)

// BenchmarkTransactions: an app's transactions, bare, with a journal and the
// relay beside, and with the timeline written within Commit.
func BenchmarkTransactions(b *testing.B) {
	for _, clients := range []int{1, 16, 64} {
		b.Run(fmt.Sprint("clients=", clients), func(b *testing.B) {
			w := newWorld(b)
			relayed, hub := w.audited(forward.Auto, nil)
			sync, _ := w.audited(forward.Sync, nil)
			rates := w.alternate(clients,
				func() error { return order(w.bare, false) },
				func() error { return order(relayed, true) },
				func() error { return order(sync, true) })
			w.must(hub.Drain(ctx))
			report(b, "bare tx/s", rates[0])
			report(b, "relay/bare", rates[1]/rates[0])
			report(b, "sync/bare", rates[2]/rates[0])
		})
	}
}

// BenchmarkAutocommit: one captured statement outside any transaction.
func BenchmarkAutocommit(b *testing.B) {
	for _, clients := range []int{1, 16} {
		b.Run(fmt.Sprint("clients=", clients), func(b *testing.B) {
			w := newWorld(b)
			audited, hub := w.audited(forward.Auto, nil, driver.Capture(driver.AllTables()))
			const insert = "INSERT INTO orders (customer, note) VALUES (7, 'as soon as possible')"
			rates := w.alternate(clients,
				func() error { _, err := w.bare.ExecContext(ctx, insert); return err },
				func() error { _, err := audited.ExecContext(ctx, insert); return err })
			w.must(hub.Drain(ctx))
			report(b, "bare/s", rates[0])
			report(b, "captured/bare", rates[1]/rates[0])
		})
	}
}
