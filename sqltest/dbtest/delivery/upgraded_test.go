package delivery_test

import (
	_ "embed"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
)

// The tables as the last version before the table journal made them.
//
//go:embed testdata/postgres_v4.sql.txt
var postgresV4 string

const (
	lineUpgraded  = "tables were upgraded"
	lineSwap      = "run journal.Swap"
	lineTakenOver = "a forwarder was taken over from an earlier version"
	lineNew       = "a forwarder was registered, and the relay delivers to it what is committed from now on"
)

// says checks how often the log has each line.
func (a *app) says(upgraded, swap, takenOver, registered int) {
	a.Helper()
	for line, want := range map[string]int{lineUpgraded: upgraded, lineSwap: swap, lineTakenOver: takenOver, lineNew: registered} {
		if n := a.logs.FilterMessageSnippet(line).Len(); n != want {
			a.Errorf("%q is logged %d times, want %d", line, n, want)
		}
	}
}

// TestSaysWhatAnUpgradeLeaves: that tables were upgraded, by the program that has done it; which
// forwarders go on from there; and, at each start, that the last step is left.
func TestSaysWhatAnUpgradeLeaves(t *testing.T) {
	each(t, func(w *world) {
		w.must(w.bare.ExecContext(ctx, postgresV4))
		store, err := relay.New(w.e.Dialect, nil)
		w.must(err)
		place, err := store.Place(ctx, w.bare)
		w.must(err)
		w.must(w.bare.ExecContext(ctx, "INSERT INTO aftercommit.forwarders (name, place) VALUES ('delivery_test.sink/default', '"+place+"')"))
		first := w.start(forward.Options{}, nil)
		first.says(1, 1, 1, 0)
		first.place(1)
		first.drain()
		w.must(first.db.Close())
		second := w.start(forward.Options{}, func(h *forward.Hub) {
			h.Register(w.sink, forward.Auto)
			h.Register(w.sink, forward.Auto, forward.ID("second"))
		})
		second.says(0, 1, 0, 1)
		w.must(second.db.Close())
		swap, err := journal.Swap(nil)
		w.must(err)
		w.must(w.bare.ExecContext(ctx, swap))
		third := w.start(forward.Options{}, nil)
		third.says(0, 0, 0, 0)
		w.must(third.db.Close())
	})
}
