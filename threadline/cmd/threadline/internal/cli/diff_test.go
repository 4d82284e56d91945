package cli

import (
	"testing"
	"time"
)

// TestDiff: what differs between two times, whatever happened in between, where there was no row, and what is not known.
func TestDiff(t *testing.T) {
	w := newWorld(t)
	h := decode[History](w, exitOK, "history", "orders", "42")
	at := func(i int) string {
		begun, err := time.Parse(time.RFC3339Nano, h.Changes[i].CapturedAt)
		if err != nil {
			t.Fatal(err)
		}
		return begun.Format(time.RFC3339Nano)
	}
	first := at(0)

	text := w.want(exitOK, "diff", "orders", "42", "--from", first)
	wantIn(t, text, "status: new → refunded", "total: 12.50 → 0.00", "not kept: card")
	d := decode[Difference](w, exitOK, "diff", "orders", "42", "--from", first, "--to", at(1))
	if len(d.Fields) != 1 || d.Fields[0].String() != "status: new → refunded" || len(d.Unknown) != 1 || d.From.At == d.To.At {
		t.Errorf("to the refund: %+v", d)
	}
	d = decode[Difference](w, exitOK, "diff", "orders", "41", "--from", first, "--to", first)
	if len(d.Fields) != 0 || !*d.From.Row || !*d.To.Row {
		t.Errorf("a row and itself: %+v", d)
	}

	w.exec(w.db, "ALTER TABLE orders ADD note text", "UPDATE orders SET note = 'late' WHERE id = 42")
	w.want(exitOK, "triggers", "apply", "orders:mask=card", "--execute")
	w.exec(w.db, "UPDATE orders SET note = 'later' WHERE id = 42")
	wantIn(t, w.want(exitOK, "diff", "orders", "42", "--from", first), "note: (no such column) → later")

	w.as("bob", "order.deleted", "DELETE FROM orders WHERE id = 41")
	d = decode[Difference](w, exitOK, "diff", "orders", "41", "--from", first)
	if len(d.Fields) == 0 || d.Fields[0].New.Kind != "absent" || *d.To.Row || d.To.Why == "" {
		t.Errorf("a row that is gone: %+v", d)
	}
	wantIn(t, w.want(exitOK, "diff", "orders", "41", "--from", first), "the row was gone by then", "status: new → (no row)")

	d = decode[Difference](w, exitFinding, "diff", "orders", "42", "--from", "2000-01-01")
	if d.From.Row != nil || d.From.Why == "" || len(d.Fields) != 0 {
		t.Errorf("before the capture: %+v", d)
	}
	wantIn(t, w.want(exitFinding, "diff", "orders", "42", "--from", "2000-01-01"), "not captured yet")
	for _, args := range [][]string{{"orders", "42"}, {"orders", "--from", "1h"}, {"orders", "42", "--from", "now", "--to", "1h"}, {"orders", "42", "--from", "noon"}} {
		w.want(exitUsage, append([]string{"diff"}, args...)...)
	}
}
