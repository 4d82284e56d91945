package relay_test

import (
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/relay"
)

// What empties all tables for a test empties the relay's too: it registers its
// targets again and goes on.
func TestEmptiedTables(t *testing.T) {
	each(t, func(w *world) {
		r := w.start(relay.Config{Lease: 100 * time.Millisecond, Poll: 10 * time.Millisecond})
		w.commit("a")
		w.drain(r)
		for _, table := range []string{"cursors", "retries", "acknowledged", "workers"} {
			_, err := w.db.ExecContext(ctx, "DELETE FROM "+w.own(table))
			w.must(err)
		}
		w.until("the target is registered again", func() bool { return w.holders()[name] != "" })
		w.commit("b")
		w.drain(r)
		w.want("a b")
	})
}
