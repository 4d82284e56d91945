package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
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
				func() error { return w.order(w.bare, 0) },
				func() error { return w.order(relayed, 1) },
				func() error { return w.order(sync, 1) })
			w.must(hub.Drain(ctx))
			report(b, "bare tx/s", rates[0])
			report(b, "relay/bare", rates[1]/rates[0])
			report(b, "sync/bare", rates[2]/rates[0])
		})
	}
}

// BenchmarkApps: what apps do, over the base driver's rate, with the timeline as
// [forward.Auto] has it: by the relay on PostgreSQL, within Commit on SQLite.
func BenchmarkApps(b *testing.B) {
	for _, e := range dbtest.Engines() {
		delays := []time.Duration{0, time.Millisecond}
		if e.Dialect == hooks.SQLite {
			delays = delays[:1]
		}
		for _, delay := range delays {
			b.Run(fmt.Sprintf("%s/delay=%v", e.Name, delay), func(b *testing.B) {
				w := newWorldOf(b, e, delay)
				db, hub := w.audited(forward.Auto, nil)
				captured, _ := w.audited(forward.Auto, nil, driver.Capture(driver.AllTables()))
				for _, clients := range []int{1, 16} {
					rates := w.alternate(clients,
						func() error { return w.order(w.bare, 0) },
						func() error { return w.order(db, 1) },
						func() error { return w.order(db, 100) },
						func() error { return w.insert(w.bare) },
						func() error { return w.insert(captured) })
					w.must(hub.Drain(ctx))
					name := func(what string) string { return fmt.Sprintf("%d: %s", clients, what) }
					report(b, name("tx/s"), rates[0])
					report(b, name("1 event"), rates[1]/rates[0])
					report(b, name("100 events"), rates[2]/rates[0])
					report(b, name("inserts/s"), rates[3])
					report(b, name("captured"), rates[4]/rates[3])
				}
			})
		}
	}
}
