package relay_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// TestHandedOver: an async forwarder does not get what a queue delivers, not even to find
// out whether the sink is up.
func TestHandedOver(t *testing.T) {
	each(t, func(w *world) {
		w.commit("a", "b", "c", "d", "e")
		w.settle("b", "d", "e")
		down := true
		w.sink.refuse = func(n string) error {
			if strings.Contains("b d e", n) {
				t.Errorf("the sink is called with %s", n)
			}
			if down {
				return errTransient
			}
			return nil
		}
		r := w.start(relay.Config{})
		w.until("the sink is suspended", func() bool { return len(w.sink.told(hooks.NoticeSuspended)) == 1 })
		w.sink.set(func(*sink) { down = false })
		w.clock.pass(time.Hour)
		w.drain(r)
		w.want("a c")
		if n := w.state().Behind; n != 0 {
			w.Errorf("%d behind", n)
		}
		w.must(r.Stop(ctx))
		w.must(w.store.Retire(ctx, w.db, name))
		w.settle("e") // by a transaction that began before
		w.purge(0)
		var n int
		w.must(w.db.QueryRowContext(ctx, "SELECT count(*) FROM "+w.own("acknowledged")).Scan(&n))
		if n != 0 {
			w.Errorf("%d acknowledgements are left", n)
		}
	})
}

// TestHandOverOwnOnly: a transaction hands over its own events only, and nothing of a
// forwarder that the relay does not have.
func TestHandOverOwnOnly(t *testing.T) {
	each(t, func(w *world) {
		w.commit("a")
		for forwarder, want := range map[string]bool{name: true, "unknown/default": false} {
			has, err := w.store.HandOver(ctx, w.db, forwarder, nil)
			w.must(err)
			if has != want {
				w.Errorf("the relay has %s: %v", forwarder, has)
			}
		}
		if w.e.Dialect == hooks.SQLite {
			return // where the app owns the tables
		}
		_, err := w.store.HandOver(ctx, w.db, name, []uuid.UUID{w.entries()["a"].Key})
		w.must(err)
		w.drain(w.start(relay.Config{}))
		w.want("a")
	})
}
