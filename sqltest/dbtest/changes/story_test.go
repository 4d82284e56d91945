package changes_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestStory: a transaction is told by what the app meant, by its statements with the rows that each
// has changed, and by what triggers, foreign keys and functions did.
func TestStory(t *testing.T) {
	eachApp(t, func(w *world, open func(forward.Options, bool) *app) {
		w.exec(`CREATE TABLE lines (id int PRIMARY KEY, t int REFERENCES t ON DELETE CASCADE)`,
			`CREATE TABLE log (n int PRIMARY KEY)`, `CREATE TABLE notes (id int PRIMARY KEY)`,
			`CREATE FUNCTION note() RETURNS void LANGUAGE sql AS 'INSERT INTO log VALUES (1)'`,
			`INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)`, `INSERT INTO lines VALUES (10, 2), (11, 2)`)
		w.capture(capture.Table{Name: "t"}, capture.Table{Name: "lines"}, capture.Table{Name: "log"})
		a := open(forward.Options{}, true)
		tx, err := a.db.BeginTx(ctx, nil)
		w.must(err)
		w.must(hooks.Record(user("alice"), tx, hooks.Event{Action: "order.refunded", Target: hooks.Target{Type: "order", ID: "1"}, Reason: "damaged"}))
		for _, s := range []struct{ by, query string }{
			{"alice", "UPDATE t SET a = 9 WHERE id = 1"},
			{"bob", "UPDATE t SET a = 8 WHERE id = 1"},
			{"alice", "UPDATE t SET a = a WHERE id = 3"},
			{"alice", "DELETE FROM t WHERE id = 2"},
			{"alice", "INSERT INTO notes VALUES (1)"},
			{"alice", "SELECT note()"},
		} {
			_, err = tx.ExecContext(user(s.by), s.query)
			w.must(err)
		}
		w.must(tx.Commit())
		timeline := threadline.NewStore(w.db, hooks.Postgres, nil)
		history, err := w.store.History(ctx, "t", "1")
		w.must(err)
		last := history[len(history)-1]
		story, err := timeline.Story(ctx, w.store, journal.TxKey{ID: last.XID, StartedAt: last.TxStartedAt})
		w.must(err)
		want := []string{
			"  alice order.refunded order:1: damaged",
			"  alice t.updated t:1", "    update t [1]: a: 1 → 9",
			"  bob t.updated t:1", "    update t [1]: a: 9 → 8",
			"  alice t.updated t:3",
			"  alice t.deleted t:2", "    delete t [2]: id: 2; a: 2",
			"  alice notes.inserted notes",
			"  by triggers and foreign keys", "    delete lines [10] (foreign key lines_t_fkey): id: 10; t: 2", "    delete lines [11] (foreign key lines_t_fkey): id: 11; t: 2",
			"  by statements without an event", "    insert log [1]",
			"  t.updated: 1 row, 0 changes: 1 row got the values that they had, in all columns that are captured",
			"  notes.inserted: 1 row, 0 changes: the row changes of notes are not captured",
		}
		if got := untimed(story); got != strings.Join(want, "\n") {
			t.Errorf("the story is\n%s\nwant\n%s", got, strings.Join(want, "\n"))
		}
	})
}

// untimed is a story without its first line, and without the times of its events.
func untimed(story *threadline.Story) string {
	var lines []string
	for line := range strings.Lines(story.String()) {
		if _, rest, isEvent := strings.Cut(line, "Z user:"); isEvent {
			line = "  " + rest
		}
		lines = append(lines, strings.TrimRight(line, "\n"))
	}
	return strings.Join(lines[1:], "\n")
}

// TestStoryByAnotherColumn: where events name rows by a column that is not the key of their changes, a change belongs to
// the statement that names its row, if the change says so, and else to one of those that may have made it.
func TestStoryByAnotherColumn(t *testing.T) {
	eachApp(t, func(w *world, open func(forward.Options, bool) *app) {
		w.exec(`CREATE TABLE goods (id int PRIMARY KEY, code int NOT NULL UNIQUE, a int)`, `INSERT INTO goods VALUES (1, 2, 0), (2, 1, 0)`,
			`CREATE TABLE parts (code int PRIMARY KEY, a int)`, `INSERT INTO parts VALUES (1, 0), (2, 0)`)
		w.capture(capture.Table{Name: "goods"}, capture.Table{Name: "parts"})
		a := open(forward.Options{}, true)
		a.tx([]string{"alice", "bob", "alice", "bob", "alice"}, "UPDATE goods SET a = 1 WHERE code = 1", "UPDATE goods SET a = 1 WHERE code = 2",
			"INSERT INTO goods VALUES (4, 3), (3, 4)", "DELETE FROM goods WHERE code = 1", "UPDATE parts SET a = 1 WHERE code = 2")
		history, err := w.store.History(ctx, "goods", "2")
		w.must(err)
		last := history[len(history)-1]
		story, err := threadline.NewStore(w.db, hooks.Postgres, nil).Story(ctx, w.store, journal.TxKey{ID: last.XID, StartedAt: last.TxStartedAt})
		w.must(err)
		var got []string
		tell := func(what string, list []changes.Change) {
			for _, c := range list {
				what += " " + string(c.Op) + " " + c.Key[0]
			}
			got = append(got, what)
		}
		for _, s := range story.Statements {
			tell(s.Action.Action+" "+s.Target.ID+":", s.Changes)
		}
		for _, s := range story.Shared {
			tell("shared:", s.Changes)
		}
		want := []string{"goods.updated 1:", "goods.updated 2:", "goods.inserted : insert 4 insert 3", "goods.deleted 1: delete 2", "parts.updated 2: update 2", "shared: update 2 update 1"}
		if !slices.Equal(got, want) || len(story.Unseen)+len(story.Differences) > 0 {
			t.Errorf("%q, want %q\n%s", got, want, story)
		}
	}, driver.KeyColumn("code"))
}

// TestCascades: what a foreign key has changed is told apart from statements on the same tables.
func TestCascades(t *testing.T) {
	each(t, func(w *world) {
		w.exec(`CREATE TABLE p (id int PRIMARY KEY, code text UNIQUE, x int, y int, UNIQUE (x, y))`,
			`CREATE TABLE gone (id int PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE)`,
			`CREATE TABLE emptied (id int PRIMARY KEY, p int REFERENCES p ON DELETE SET NULL)`,
			`CREATE TABLE moved (id int PRIMARY KEY, code text REFERENCES p (code) ON UPDATE CASCADE)`,
			`CREATE TABLE two (id int PRIMARY KEY, x int, y int, FOREIGN KEY (x, y) REFERENCES p (x, y) ON DELETE CASCADE)`,
			`CREATE TABLE late (id int PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED)`,
			`CREATE TABLE strict (id int PRIMARY KEY, p int REFERENCES p)`,
			`INSERT INTO p VALUES (1, 'a', 1, 1), (2, 'b', 1, 2), (3, 'c', NULL, 3), (5, 'e', 5, 5)`,
			`INSERT INTO gone VALUES (1, 1), (2, 1), (3, 2), (4, NULL)`, `INSERT INTO emptied VALUES (1, 1), (2, 2)`,
			`INSERT INTO moved VALUES (2, 'b'), (3, 'c')`, `INSERT INTO two VALUES (1, 1, 1), (2, 1, 2), (3, NULL, 1)`)
		var tables []capture.Table
		for _, name := range []string{"p", "gone", "emptied", "moved", "two", "late", "strict"} {
			tables = append(tables, capture.Table{Name: name})
		}
		w.capture(tables...)
		tx, err := w.db.BeginTx(ctx, nil)
		w.must(err)
		for _, q := range []string{
			"DELETE FROM gone WHERE id = 1", "DELETE FROM p WHERE id = 1", "DELETE FROM gone WHERE id = 4", "DELETE FROM two WHERE id = 3",
			"UPDATE p SET code = 'z' WHERE id = 2", "UPDATE emptied SET p = NULL WHERE id = 2",
			"UPDATE moved SET code = NULL WHERE id = 3",
			"INSERT INTO strict VALUES (1, 2)", "DELETE FROM strict",
			"DELETE FROM p WHERE id = 5", "INSERT INTO late VALUES (1, 5)", "UPDATE late SET p = NULL WHERE id = 1",
			"INSERT INTO p VALUES (5, 'e', 5, 5)", "INSERT INTO gone VALUES (5, 5)", "DELETE FROM gone WHERE id = 5",
		} {
			_, err = tx.ExecContext(ctx, q)
			w.must(err)
		}
		w.must(tx.Commit())
		history, err := w.store.History(ctx, "p", "2")
		w.must(err)
		last := history[len(history)-1]
		kept, err := w.store.Transaction(ctx, last.XID, last.TxStartedAt, 100)
		w.must(err)
		var got []string
		for _, c := range kept.Changes {
			got = append(got, strings.TrimSpace(string(c.Op)+" "+c.Table+" "+strings.Join(c.Key, ",")+" "+c.ForeignKey))
		}
		slices.Sort(got) // foreign keys of one row act in the order of their names
		want := []string{
			"delete gone 1", "delete gone 2 gone_p_fkey", "delete gone 4", "delete gone 5", "delete p 1", "delete p 5", "delete strict 1", "delete two 1 two_x_y_fkey", "delete two 3",
			"insert gone 5", "insert late 1", "insert p 5", "insert strict 1", "update emptied 1 emptied_p_fkey", "update emptied 2", "update late 1",
			"update moved 2 moved_code_fkey", "update moved 3", "update p 2",
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		part, err := w.store.Transaction(ctx, last.XID, last.TxStartedAt, 3)
		w.must(err)
		if len(part.Changes) != 3 || !part.More || kept.More {
			t.Errorf("%d changes, more: %v; of all more: %v", len(part.Changes), part.More, kept.More)
		}
	})
}
