package relay

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
)

// TestPanicWhileDecodingAhead: what decodes rows beside the worker panics in the worker, where
// the relay is restarted, and not in a goroutine, where the process would end.
func TestPanicWhileDecodingAhead(t *testing.T) {
	rows := []journal.Row{{Seq: 1, Events: 1}, {Seq: 2, Events: 1}}
	decoded := 0 // written by the goroutine, after it was started
	spotOf := func(r *journal.Row) spot {
		if decoded++; r.Seq == 2 && decoded > 2 {
			panic("a row that panics")
		}
		return spot{number: r.Seq}
	}
	var w window
	w.add(rows, spotOf, spot{}, 1)
	if len(w.entries) != 1 {
		t.Fatalf("%d entries are decoded at once, not the one that was wanted", len(w.entries))
	}
	defer func() {
		if v := recover(); v != "a row that panics" {
			t.Errorf("join panicked with %v", v)
		}
		if w.coming != nil {
			t.Error("a second join would wait for nothing")
		}
	}()
	w.join()
	t.Error("join returned")
}
