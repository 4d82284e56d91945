package cli

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestInvestigation is that of an operator: who changed this order, what else did they do, give me the file, undo it.
func TestInvestigation(t *testing.T) {
	w := newWorld(t)

	wantIn(t, w.want(exitOK, "search", "table:orders", "actor:bob"), "user:bob", "update", "orders 42", "status: new → refunded")
	wantIn(t, w.want(exitOK, "search", "--alias", "order=orders", "target:order:42"), "order.refunded", "as asked", "total: 12.50 → 0.00")

	history := w.want(exitOK, "history", "orders", "42", "--zone", "UTC")
	wantIn(t, history, "insert by user:alice", "status: new → refunded", "card: (masked) → (masked)", "role postgres", "Times are in UTC.")
	if strings.Contains(history, "4242") {
		t.Errorf("a masked value is shown:\n%s", history)
	}
	h := decode[History](w, exitOK, "history", "orders", "42")
	if len(h.Changes) != 3 || h.Changes[1].By.Actors[0].ID != "bob" || len(h.Breaks) == 0 {
		t.Fatalf("history: %+v", h)
	}
	tx := h.Changes[1].XID + "@" + h.Changes[1].TxStartedAt

	wantIn(t, w.want(exitOK, "show", tx), "order.refunded", "status: new → refunded")
	if s := decode[Story](w, exitOK, "show", tx); len(s.Recorded) != 1 || len(s.Statements) != 1 || len(s.Statements[0].Changes) != 1 {
		t.Errorf("story: %+v", s)
	} else {
		wantIn(t, w.want(exitOK, "show", s.Recorded[0].ID.String()), "order.refunded", "as asked", tx)
	}
	wantIn(t, w.want(exitOK, "incident", "actor:bob"), `"action":"order.refunded"`, `"sha256":`)

	wantIn(t, w.want(exitOK, "as-of", "orders", "42", "--at", "now"), "refunded", "0.00", "(masked)")
	if r := decode[Row](w, exitOK, "as-of", "orders", "--at", "now"); r.Key[0] != "41" || *r.Values["status"].Text != "new" {
		t.Errorf("the first row of the table: %+v", r)
	}
	script := w.want(exitOK, "undo", "transaction", tx)
	wantIn(t, script, "UPDATE", "'new'")
	bare := dbtest.Open(t, "postgres", w.dsn)
	w.exec(bare, script)
	var status string
	if err := bare.QueryRowContext(ctx, "SELECT status FROM orders WHERE id = 42").Scan(&status); err != nil || status != "new" {
		t.Errorf("after the undo: %q, %v", status, err)
	}
	wantIn(t, w.want(exitFinding, "undo", "transaction", tx), "changed later")
}

// TestAsOfWithoutRows says that a table had none, rather than nothing.
func TestAsOfWithoutRows(t *testing.T) {
	w := newWorld(t)
	w.exec(w.db, "DELETE FROM orders")
	wantIn(t, w.want(exitOK, "as-of", "orders", "--at", "now"), "orders had no rows at ")
	if out := w.want(exitOK, "as-of", "orders", "--at", "now", "--json"); out != "" {
		t.Errorf("rows: %s", out)
	}
}
