package changes_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestHistory: who changed which field, from what to what.
func TestHistory(t *testing.T) {
	each(t, func(w *world) {
		w.exec(`CREATE TABLE orders (id bigint PRIMARY KEY, status text, amount numeric, card text, note text)`)
		w.capture(capture.Table{Name: "orders", Mask: []string{"card"}, Exclude: []string{"note"}})
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

// TestKeysUsedAgain: the history of a key has all rows that had it; of a row that came to it from
// another key it goes back to that row's INSERT, and not into rows that had the other key before.
func TestKeysUsedAgain(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 1)", "DELETE FROM t", "INSERT INTO t VALUES (1, 2)", "UPDATE t SET id = 2", "INSERT INTO t VALUES (1, 3)",
			"UPDATE t SET id = 3 WHERE id = 2", "UPDATE t SET id = 2 WHERE id = 1", "UPDATE t SET id = 4 WHERE id = 2", "UPDATE t SET id = 2 WHERE id = 4")
		w.wantStory("insert id: NULL → 1; a: NULL → 2;\nupdate [1] to [2] id: 1 → 2;\nupdate [2] to [3] id: 2 → 3;", "t", "3")
		w.wantStory("insert id: NULL → 1; a: NULL → 2;\nupdate [1] to [2] id: 1 → 2;\nupdate [2] to [3] id: 2 → 3;\n"+
			"insert id: NULL → 1; a: NULL → 3;\nupdate [1] to [2] id: 1 → 2;\nupdate [2] to [4] id: 2 → 4;\nupdate [4] to [2] id: 4 → 2;", "t", "2")

		// A row whose DELETE is a gap ends where the key's next row begins.
		w.exec("INSERT INTO t VALUES (10, 1)")
		w.lose("DELETE FROM t WHERE id = 10")
		w.exec("INSERT INTO t VALUES (10, 2)", "UPDATE t SET id = 11 WHERE id = 10")
		w.wantStory("insert id: NULL → 10; a: NULL → 2;\nupdate [10] to [11] id: 10 → 11;", "t", "11")
	})
}
