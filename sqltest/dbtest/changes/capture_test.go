package changes_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

// TestHistory: who changed which field, from what to what.
func TestHistory(t *testing.T) {
	each(t, func(w *world) {
		w.exec(`CREATE TABLE orders (id bigint PRIMARY KEY, status text, amount numeric, card text, note text)`)
		w.capture(changes.Table{Name: "orders", Mask: []string{"card"}, Exclude: []string{"note"}})
		w.exec(`INSERT INTO orders VALUES (1, 'new', 1.0, '4242', 'x'), (2, NULL, NULL, NULL, NULL)`,
			`UPDATE orders SET status = 'paid' WHERE id = 1`,
			`UPDATE orders SET status = 'paid' WHERE id = 1`,
			`UPDATE orders SET note = 'y' WHERE id = 1`,
			`UPDATE orders SET amount = 1.00, card = '4343' WHERE id = 1`,
			`UPDATE orders SET id = 3 WHERE id = 1`,
			`UPDATE orders SET status = '' WHERE id = 3`,
			`DELETE FROM orders WHERE id = 3`)
		w.wantStory(`
insert id: NULL → 1; status: NULL → new; amount: NULL → 1.0; card: NULL → (masked);
update status: new → paid;
update amount: 1.0 → 1.00; card: (masked) → (masked);
update [1] to [3] id: 1 → 3;
update status: paid → ;
delete id: 3 → NULL; status:  → NULL; amount: 1.00 → NULL; card: (masked) → NULL;`, "orders", "3")
		w.wantStory(`insert id: NULL → 2; status: NULL → NULL; amount: NULL → NULL; card: NULL → (masked);`, "orders", "2")
		w.exec(`BEGIN; UPDATE orders SET status = 'gone' WHERE id = 2; ROLLBACK`, `TRUNCATE orders`)
		w.wantStory("insert id: NULL → 2; status: NULL → NULL; amount: NULL → NULL; card: NULL → (masked);\ntruncate", "orders", "2")
	})
}
