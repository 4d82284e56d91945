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

// BenchmarkApps: what apps do, over the base driver's rate: with an audit table
// that they write by hand, with the journal alone, and with the timeline as
// [forward.Auto] has it, by the relay on PostgreSQL and within Commit on SQLite.
func BenchmarkApps(b *testing.B) { everywhere(b, benchmarkApp) }

// everywhere runs f over each engine, with and without a delay, and with one
// client and many.
func everywhere(b *testing.B, f func(b *testing.B, w *world, clients int)) {
	b.Helper()
	for _, e := range dbtest.CommitEngines() {
		delays := []time.Duration{0, time.Millisecond}
		if e.Dialect == hooks.SQLite {
			delays = delays[:1]
		}
		for _, delay := range delays {
			for _, clients := range []int{1, 16} {
				b.Run(fmt.Sprintf("%s/delay=%v/clients=%d", e.Name, delay, clients), func(b *testing.B) {
					f(b, newWorldOf(b, e, delay), clients)
				})
			}
		}
	}
}

func benchmarkApp(b *testing.B, w *world, clients int) {
	b.Helper()
	capture := driver.Capture(driver.AllTables())
	journal, capturing := w.journaled(), w.journaled(capture)
	rates := w.alternate(clients,
		func() error { return w.order(w.bare, 0) },
		func() error { return w.order(journal, 1) },
		func() error { return w.order(journal, 100) },
		func() error { return w.orderByHand(w.bare) },
		func() error { return w.insert(w.bare) },
		func() error { return w.insert(capturing) },
		func() error { return w.insertByHand(w.bare) })
	report(b, "tx/s", rates[0])
	report(b, "1 event", rates[1]/rates[0])
	report(b, "100 events", rates[2]/rates[0])
	report(b, "1 by hand", rates[3]/rates[0])
	report(b, "inserts/s", rates[4])
	report(b, "captured", rates[5]/rates[4])
	report(b, "captured by hand", rates[6]/rates[4])

	timeline, hub := w.audited(forward.Auto, nil)
	both, _ := w.audited(forward.Auto, nil, capture)
	rates = w.alternate(clients,
		func() error { return w.order(w.bare, 0) },
		func() error { return w.order(timeline, 1) },
		func() error { return w.insert(w.bare) },
		func() error { return w.insert(both) })
	w.must(hub.Drain(ctx))
	report(b, "1 event timeline", rates[1]/rates[0])
	report(b, "captured timeline", rates[3]/rates[2])
}
