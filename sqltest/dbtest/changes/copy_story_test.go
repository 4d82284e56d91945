package changes_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// read is what a timeline and row changes say together: the story of each transaction, the trail as a list and in pages, and a bundle.
func read(t *testing.T, timeline *threadline.Store, rows *changes.Store) (lines []string) {
	t.Helper()
	say := func(what string, v any, err error) { lines = append(lines, fmt.Sprintf("%s: %v %v", what, v, err)) }
	reader := trail.NewReader(timeline, rows)
	told := make(map[journal.TxKey]bool)
	var items []trail.Item
	for item, err := range reader.Each(ctx, trail.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, item)
		say("item", line(item), nil)
		if tx := item.Tx(); !told[tx] {
			told[tx] = true
			story, err := timeline.Story(ctx, rows, tx)
			say("story", story, err)
		}
	}
	causes, err := reader.Causes(ctx, items)
	for _, cause := range causes {
		var ids []string
		for _, a := range slices.Concat(cause.Statements, cause.Recorded) {
			ids = append(ids, a.ID.String())
		}
		say("cause", ids, err)
	}
	for l, err := range reader.Bundle(ctx, trail.Query{}) {
		text := briefLine(l)
		if l.Transaction != nil || l.Change != nil { // all that it says
			b, _ := json.Marshal(l)
			text = string(b)
		}
		say("line", text, err)
	}
	return lines
}

// TestCopiedStory: the stories, the trail and a bundle of copied row changes are those that the app's database tells, also of what a
// trigger, psql and a rolled back savepoint did.
func TestCopiedStory(t *testing.T) {
	with(t, func(w *world) {
		t := w.T
		c := w.copyTo(w.e.DSN(t), func(*forward.Hub) {})
		w.exec(`CREATE TABLE orders (id int PRIMARY KEY, state text, card text)`, `CREATE TABLE lines (id int PRIMARY KEY, orders int REFERENCES orders ON DELETE CASCADE)`,
			`CREATE TABLE log (n int PRIMARY KEY)`, `CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log VALUES (NEW.id); RETURN NULL; END'`,
			`CREATE TRIGGER note AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION note()`)
		w.capture(capture.Table{Name: "orders", Mask: []string{"card"}}, capture.Table{Name: "lines"}, capture.Table{Name: "log"})
		tx, err := c.db.BeginTx(ctx, nil)
		w.must(err)
		w.must(hooks.Record(user("alice"), tx, hooks.Event{Action: "order.placed", Target: hooks.Target{Type: "order", ID: "1"}, Reason: "by phone"}))
		for i, q := range []string{
			"INSERT INTO orders VALUES (1, 'new', '4111'), (2, 'new', '4222')", "SAVEPOINT a", "UPDATE orders SET state = 'lost'", "ROLLBACK TO a",
			"INSERT INTO lines VALUES (10, 1), (11, 1), (12, 2)", "UPDATE orders SET state = state WHERE id = 2",
		} {
			_, err = tx.ExecContext(user([]string{"alice", "bob"}[i%2]), q)
			w.must(err)
		}
		w.must(tx.Commit())
		c.tx([]string{"bob", "carol"}, "UPDATE orders SET state = 'paid' WHERE id = 1", "DELETE FROM lines WHERE orders = 2", "DELETE FROM orders WHERE id = 2")
		w.exec("SET application_name = 'psql'", "UPDATE orders SET state = 'by hand' WHERE id = 1", "TRUNCATE lines")
		w.lose("UPDATE orders SET state = 'not kept' WHERE id = 1")
		c.drain()
		w.exec("UPDATE orders SET state = 'seen' WHERE id = 1")
		c.drain()

		// The app's database has no timeline, since that is there.
		here := threadline.NewStore(w.db, hooks.Postgres, nil)
		w.must(here.Migrate(ctx))
		w.must(here.Record(ctx, c.journal()))
		ours, theirs := read(t, here, w.store), read(t, c.timeline, c.there.store)
		for i := range max(len(ours), len(theirs)) {
			if i >= len(ours) || i >= len(theirs) || ours[i] != theirs[i] {
				t.Fatalf("here:\n%s\nthere:\n%s", strings.Join(ours[min(i, len(ours)):min(i+1, len(ours))], ""), strings.Join(theirs[min(i, len(theirs)):min(i+1, len(theirs))], ""))
			}
		}
		if all := strings.Join(theirs, "\n"); !strings.Contains(all, "insert log [2]") || !strings.Contains(all, "psql") {
			t.Errorf("a trigger and psql are not in it:\n%s", all)
		}
	}, dbtest.PostgresEngines()[0])
}
