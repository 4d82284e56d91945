package relay_test

import (
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// TestCursorFromTheFuture: a server that has lost what the cursor has seen, as one
// that was promoted or set back.
func TestCursorFromTheFuture(t *testing.T) {
	each(t, func(w *world) {
		w.commit("a")
		done := "'9000000000:9000000000:'"
		if w.e.Dialect == hooks.SQLite {
			done = "1000000"
		}
		_, err := w.db.ExecContext(ctx, "UPDATE "+w.own("cursors")+" SET done = "+done)
		w.must(err)
		r := w.start(relay.Config{Lease: brisk})
		w.awaitDecision()
		_, err = w.store.Resume(ctx, w.db, name, true)
		w.must(err)
		w.clock.pass(time.Hour)
		w.commit("b")
		w.drain(r)
		w.until("a is replayed", func() bool { return contains(w.sink.all(), "a") && contains(w.sink.all(), "b") })
		if s := w.state(); s.Elsewhere {
			t.Errorf("%+v after Resume", s)
		}
	})
}
