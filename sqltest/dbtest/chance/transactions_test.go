package chance_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// playAll has players play n transactions in all.
func (w *world) playAll(seed uint64, players, n int) {
	w.Helper()
	w.db.SetMaxOpenConns(players)
	w.db.SetMaxIdleConns(players)
	w.must(w.bare.ExecContext(ctx(), "INSERT INTO notes (id) VALUES ('0')")) // which mistakes stumble over
	var left atomic.Int64
	left.Store(int64(n))
	var wg sync.WaitGroup
	for i := range players {
		p := &player{w: w, name: fmt.Sprintf("p%d", i), r: rand.New(rand.NewPCG(seed, uint64(i)))}
		w.pasts = append(w.pasts, &p.past)
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				p.play()
			}
		})
	}
	wg.Wait()
}

// TestRandomTransactions: after ten thousand transactions of several apps at
// once, rows, journal and forwarder agree on each.
func TestRandomTransactions(t *testing.T) {
	n := 10_000
	if testing.Short() {
		n = 500
	}
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		players := 8
		if e.Dialect == hooks.SQLite {
			players = 4
			e.DSN = func(tb testing.TB) string {
				tb.Helper()
				return dbtest.SQLiteFile(tb, "busy_timeout(180000)", "journal_mode(WAL)", "synchronous(OFF)")
			}
		}
		w := newWorld(t, e, 7, nil)
		w.playAll(dbtest.Seed(t), players, n)
		w.settle()
		w.judge("p")
		w.busy(n)
	}, dbtest.CommitEngines()...)
}

// busy asks that chance has not spared the trail.
func (w *world) busy(n int) {
	w.Helper()
	if notes, books := len(w.keys("notes", "p")), len(w.keys("books", "p")); notes < n/8 || books < n/8 {
		w.Errorf("only %d notes and %d books of %d transactions", notes, books, n)
	}
	if w.sink.refuse > 0 && len(w.sink.refused) == 0 {
		w.Error("the forwarder has refused nothing")
	}
}
