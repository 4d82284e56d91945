package changes_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// caused are the row changes of a list, the oldest first, each with its statements and what was recorded.
func (w *trailed) caused() string {
	w.Helper()
	items := w.each(trail.Query{})
	causes, err := w.reader.Causes(ctx, items)
	w.must(err)
	var lines []string
	for i, item := range items {
		if item.Change == nil {
			if c := causes[i]; len(c.Statements)+len(c.Recorded) > 0 {
				w.Errorf("an action has the causes %+v", c)
			}
			continue
		}
		line := fmt.Sprintf("%s %s %s:", item.Change.Op, item.Change.Table, item.Change.Key[0])
		for _, a := range slices.Concat(causes[i].Statements, causes[i].Recorded) {
			line += " " + strings.TrimSuffix(a.Action+" "+a.Target.ID, " ")
		}
		if causes[i].More {
			line += " and more"
		}
		lines = append(lines, line)
	}
	slices.Reverse(lines)
	return strings.Join(lines, "\n")
}

// TestCauses: each row change of a list has the statements of its transaction that may have made it, and no other, and what
// the app recorded there.
func TestCauses(t *testing.T) {
	for _, e := range []dbtest.Engine{dbtest.PostgresEngines()[0], dbtest.SQLite} {
		withTrailOn(t, e, func(w *trailed) {
			w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "CREATE TABLE u (id int PRIMARY KEY, a int)")
			w.capture(capture.Table{Name: "t"}, capture.Table{Name: "u"})
			w.means("alice", hooks.Event{Action: "order.placed"}, "INSERT INTO t VALUES (1, 0), (2, 0)", "INSERT INTO u VALUES (1, 0)")
			w.means("bob", hooks.Event{Action: "order.changed"}, "UPDATE t SET a = 1 WHERE id = 1", "UPDATE t SET a = 2 WHERE id = 2", "UPDATE u SET a = 3 WHERE id = 1", "UPDATE u SET a = 4")
			w.exec("DELETE FROM u") // without the driver
			want := `insert t 1: t.inserted order.placed
insert t 2: t.inserted order.placed
insert u 1: u.inserted order.placed
update t 1: t.updated 1 order.changed
update t 2: t.updated 2 order.changed
update u 1: u.updated 1 u.updated order.changed
update u 1: u.updated 1 u.updated order.changed
delete u 1:`
			if got := w.caused(); got != want {
				t.Errorf("%s: %s\nwant\n%s", e.Name, got, want)
			}
		})
	}
}

// TestCausesOfKeysWritten: a statement need not write a key as the database prints it.
func TestCausesOfKeysWritten(t *testing.T) {
	withTrail(t, func(w *trailed) {
		w.exec("CREATE TABLE n (id numeric(10, 2) PRIMARY KEY, a int)", "CREATE TABLE c (id char(5) PRIMARY KEY, a int)", "INSERT INTO n VALUES (7, 0), (70, 0)", "INSERT INTO c VALUES ('a', 0), ('b', 0)")
		w.capture(capture.Table{Name: "n"}, capture.Table{Name: "c"})
		w.means("alice", hooks.Event{Action: "order.changed"}, "UPDATE n SET a = 1 WHERE id = 7", "UPDATE n SET a = 1 WHERE id = 70", "UPDATE c SET a = 1 WHERE id = 'a'", "UPDATE c SET a = 1 WHERE id = 'b'")
		want := "update n 7.00: n.updated 7 order.changed\nupdate n 70.00: n.updated 70 order.changed\nupdate c a    : c.updated a order.changed\nupdate c b    : c.updated b order.changed"
		if got := w.caused(); got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	})
}

// TestCausesOfTriggers: what a trigger has made is of no statement, also if one on the same table may have made it.
func TestCausesOfTriggers(t *testing.T) {
	withTrail(t, func(w *trailed) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "CREATE TABLE u (id int PRIMARY KEY, a int)",
			"CREATE FUNCTION twice() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO u VALUES (NEW.id + 10, 0); RETURN NULL; END $$",
			"CREATE TRIGGER twice AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION twice()")
		w.capture(capture.Table{Name: "t"}, capture.Table{Name: "u"})
		w.means("alice", hooks.Event{Action: "order.placed"}, "INSERT INTO t VALUES (1, 0)", "INSERT INTO u VALUES (1, 0)")
		want := "insert t 1: t.inserted order.placed\ninsert u 11: order.placed\ninsert u 1: u.inserted order.placed"
		if got := w.caused(); got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	})
}

// TestCausesOfMany: of a transaction with more events than are read no statement is said to have made a change, and those of
// many transactions are read by indexes.
func TestCausesOfMany(t *testing.T) {
	withTrail(t, func(w *trailed) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"})
		w.means("alice", hooks.Event{Action: "t.seen"}, "INSERT INTO t VALUES (1, 0)")
		w.exec(`INSERT INTO threadline.audit_actions (id, name, outcome, target_type, correlation_id, captured, occurred_at, recorded_at, seq, tx_id, tx_started_at)
			SELECT gen_random_uuid(), 't.inserted', 'success', 't', n, true, a.occurred_at, a.recorded_at, 100 + n, a.tx_id, a.tx_started_at FROM generate_series(3, 100) n, threadline.audit_actions a WHERE a.name = 't.seen'`)
		if got, want := w.caused(), "insert t 1:"+strings.Repeat(" t.inserted", threadline.MaxCauses-1)+" t.seen"; got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
		w.exec(`INSERT INTO threadline.audit_actions (id, name, outcome, target_type, correlation_id, captured, occurred_at, recorded_at, seq, tx_id, tx_started_at)
			SELECT gen_random_uuid(), 't.inserted', 'success', 't', 'last', true, a.occurred_at, a.recorded_at, 1000, a.tx_id, a.tx_started_at FROM threadline.audit_actions a WHERE a.name = 't.seen'`)
		if got, want := w.caused(), "insert t 1: t.seen and more"; got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
		items := w.each(trail.Query{Ops: []changes.Op{changes.Insert}})
		w.exec(`INSERT INTO threadline.audit_actions (id, name, outcome, correlation_id, captured, occurred_at, recorded_at, seq)
			SELECT gen_random_uuid(), 'other.done', 'success', n, false, s.at, s.at, 0 FROM generate_series(1, 20000) n, LATERAL (SELECT '2026-01-01 00:00+00'::timestamptz + n * interval '1 s' AS at) s`,
			"ANALYZE threadline.audit_actions")
		before := w.fetched()
		db := dbtest.Open(w.T, "postgres", w.dsn)
		_, err := trail.NewReader(threadline.NewStore(db, hooks.Postgres, nil), changes.NewStore(db, hooks.Postgres, nil)).Causes(ctx, items)
		w.must(err)
		w.must(db.Close())
		if after := w.fetched(); after[0] != before[0] || after[1]-before[1] > 200 {
			t.Errorf("%d rows are read one after the other, and %d actions by indexes", after[0]-before[0], after[1]-before[1])
		}
	})
}

// TestCausesAreOfTheStory: where the story of a transaction says which statement has made a change, it is one of its causes.
func TestCausesAreOfTheStory(t *testing.T) {
	withTrail(t, func(w *trailed) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"})
		w.means("alice", hooks.Event{Action: "t.seen"}, "INSERT INTO t VALUES (1, 0), (2, 0)", "UPDATE t SET a = 1", "UPDATE t SET a = 2 WHERE id = 2", "DELETE FROM t WHERE id = 1")
		items := w.each(trail.Query{Ops: []changes.Op{changes.Insert, changes.Update, changes.Delete}})
		causes, err := w.reader.Causes(ctx, items)
		w.must(err)
		story, err := w.timeline.Story(ctx, w.store, items[0].Tx())
		w.must(err)
		made := make(map[string]uuid.UUID)
		for _, st := range story.Statements {
			for _, c := range st.Changes {
				made[c.CapturedAt.String()] = st.ID
			}
		}
		if len(made) != len(items) {
			t.Errorf("the story knows who made %d of %d changes", len(made), len(items))
		}
		for i, item := range items {
			is := func(a threadline.Action) bool { return a.ID == made[item.Change.CapturedAt.String()] }
			if !slices.ContainsFunc(causes[i].Statements, is) {
				t.Errorf("%s: the statement of the story is none of its causes", item)
			}
		}
	})
}
