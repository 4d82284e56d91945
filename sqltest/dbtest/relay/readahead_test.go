package relay_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
)

// TestReadAhead: what is read ahead is neither passed nor reordered where most of what comes
// before it has been accepted without the relay.
func TestReadAhead(t *testing.T) {
	each(t, func(w *world) {
		var want []string
		tx := w.begin() // one, so that all of it is within the first range that is read
		for flush := range 3 {
			var names []string
			for i := range 3 {
				names = append(names, fmt.Sprintf("%d.%d", flush, i))
			}
			tx.record(names...)
			want = append(want, names...)
		}
		tx.commit()
		var accepted []journal.Position
		for name, e := range w.entries() {
			if name < "2" && !strings.HasSuffix(name, ".2") {
				accepted = append(accepted, e.Position)
			}
		}
		w.must(w.store.Acknowledge(ctx, w.db, "sink/default", accepted))
		w.drain(w.start(relay.Config{Batch: 3}))
		w.want("0.2 1.2 " + strings.Join(want[6:], " "))
	})
}
