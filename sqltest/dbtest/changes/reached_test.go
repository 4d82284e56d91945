package changes_test

import (
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestReached: which changes a statement on a partition, a parent or a view may have made, and that a view which is
// not simply of one table leads nowhere.
func TestReached(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE SCHEMA far", "CREATE TABLE orders (id int, a int) PARTITION BY RANGE (id)",
			"CREATE TABLE low PARTITION OF orders FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (id)", "CREATE TABLE far.lowest PARTITION OF low FOR VALUES FROM (0) TO (5)",
			"CREATE TABLE high PARTITION OF orders FOR VALUES FROM (10) TO (20)",
			"CREATE TABLE parent (id int)", "CREATE TABLE child () INHERITS (parent)", "CREATE TABLE other (id int)",
			"CREATE VIEW simple AS SELECT id FROM far.lowest WHERE id > 1", "CREATE VIEW above AS SELECT id FROM simple",
			"CREATE VIEW sub AS SELECT id FROM parent WHERE id IN (SELECT id FROM other)", "CREATE VIEW joined AS SELECT p.id FROM parent p JOIN other USING (id)",
			"CREATE VIEW ruled AS SELECT id FROM other", "CREATE RULE r AS ON INSERT TO ruled DO INSTEAD INSERT INTO parent VALUES (1)",
			"CREATE VIEW led AS SELECT id FROM other", "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'", "CREATE TRIGGER g INSTEAD OF UPDATE ON led FOR EACH ROW EXECUTE FUNCTION f()",
			"CREATE VIEW counted AS SELECT count(*) AS id FROM other", "CREATE MATERIALIZED VIEW kept AS SELECT id FROM other")
		names := []string{"orders", "low", "far.lowest", "high", "parent", "child", "simple", "above", "sub", "joined", "ruled", "led", "counted", "kept", "nothing", "it's", `a"b`}
		got, err := w.store.Reached(ctx, names)
		w.must(err)
		for name, want := range map[string]string{
			"orders": "far.lowest high low", "low": "far.lowest orders", "far.lowest": "low orders", "high": "orders", "parent": "child", "child": "",
			"simple": "far.lowest low orders", "above": "far.lowest low orders simple",
			"sub": "", "joined": "", "ruled": "", "led": "", "counted": "", "kept": "", "nothing": "",
		} {
			if is := strings.Join(got[name], " "); is != want {
				w.Errorf("%s reaches [%s], want [%s]", name, is, want)
			}
		}
		if got, err = w.store.Reached(ctx, nil); err != nil || len(got) > 0 {
			w.Errorf("%v, %v", got, err)
		}
	}, dbtest.PQ)
}

// TestStoryOfPartition: a statement that is captured for a partition or for a view is told with its row changes, which
// are kept for the table.
func TestStoryOfPartition(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE orders (id int PRIMARY KEY, a int) PARTITION BY RANGE (id)", "CREATE TABLE low PARTITION OF orders FOR VALUES FROM (0) TO (10)",
			"CREATE TABLE goods (id int PRIMARY KEY, a int)", "CREATE VIEW shown AS SELECT id, a FROM goods", "INSERT INTO low VALUES (1, 1)", "INSERT INTO goods VALUES (1, 1)")
		w.capture(capture.Table{Name: "orders"}, capture.Table{Name: "goods"})
		hub := forward.New(&forward.Options{Logger: zap.NewNop(), Relay: forward.RelayElsewhere})
		hub.Register(threadline.NewForwarder(nil), forward.Sync)
		name := dbtest.Name("postgres")
		dbtest.PQ.Register(name, hub, driver.Capture(driver.Tables("low", "shown")))
		a := &app{w, dbtest.Open(t, name, w.dsn)}
		a.tx([]string{"alice"}, "UPDATE low SET a = 2 WHERE id = 1", "UPDATE shown SET a = 3 WHERE id = 1")
		history, err := w.store.History(ctx, "orders", "1")
		w.must(err)
		last := history[len(history)-1]
		story, err := threadline.NewStore(w.db, hooks.Postgres, nil).Story(ctx, w.store, journal.TxKey{ID: last.XID, StartedAt: last.TxStartedAt})
		w.must(err)
		if len(story.Statements) != 2 || len(story.Statements[0].Changes) != 1 || len(story.Statements[1].Changes) != 1 || len(story.Unseen)+len(story.Shared)+len(story.Differences) > 0 {
			w.Error(story)
		}
	}, dbtest.PQ)
}
