package capture_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

const (
	withinTables = `CREATE TABLE orders (id bigint PRIMARY KEY, note text);
		CREATE TABLE news (id bigint PRIMARY KEY, note text);
		CREATE TABLE parts (id bigint PRIMARY KEY, note text) PARTITION BY LIST (id);
		CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
		CREATE VIEW notes AS SELECT id, note FROM orders`
	withinRows = `DELETE FROM orders; INSERT INTO orders (id) VALUES (1), (2);
		DELETE FROM news; INSERT INTO news (id) VALUES (1), (2), (3);
		DELETE FROM parts; INSERT INTO parts (id) VALUES (1);
		DROP TABLE IF EXISTS made`
)

// within are statements that write to more than one target, or from where one
// would not look for a write. Each is executed on fresh rows.
var within = []struct {
	query   string
	args    []any
	events  []string // of Exec
	queried []string // of Query, if others
}{
	{
		query:   "WITH d AS (DELETE FROM news WHERE id = ? RETURNING *) INSERT INTO orders (id) SELECT id + 10 FROM d",
		args:    []any{3},
		events:  []string{"news.deleted news#3 statements=1 conditional=true", "orders.inserted orders statements=1 rows=1"},
		queried: []string{"news.deleted news#3 statements=1 conditional=true", "orders.inserted orders statements=1 conditional=true"},
	},
	{
		query:  "WITH d AS (DELETE FROM news RETURNING id) SELECT id FROM d",
		events: []string{"news.deleted news statements=1 conditional=true"},
	},
	{
		query: "WITH i AS (INSERT INTO news (id) VALUES (7)), u AS (UPDATE orders SET note = 'x' WHERE id = 1) DELETE FROM orders WHERE id = 2 RETURNING id",
		events: []string{
			"news.inserted news#7 statements=1 conditional=true", "orders.updated orders#1 statements=1 conditional=true", "orders.deleted orders#2 statements=1 rows=1",
		},
	},
	{
		query:   "WITH d AS (DELETE FROM news) UPDATE orders SET note = 'x' WHERE id = 99",
		events:  []string{"news.deleted news statements=1 conditional=true"},
		queried: []string{"news.deleted news statements=1 conditional=true", "orders.updated orders#99 statements=1 conditional=true"},
	},
	{
		query: "WITH a AS (WITH b AS (SELECT 8 AS id) INSERT INTO orders (id) SELECT id FROM b ON CONFLICT (id) DO UPDATE SET note = 'x' RETURNING id) " +
			"UPDATE news SET note = 'x' FROM a WHERE news.id < a.id RETURNING news.id",
		events: []string{"orders.upserted orders statements=1 conditional=true", "news.updated news statements=1 rows=3"},
	},
	{query: "EXPLAIN ANALYZE DELETE FROM news WHERE id = 1", events: []string{"news.deleted news#1 statements=1 conditional=true"}},
	{
		query:  "EXPLAIN (COSTS off, ANALYZE) WITH d AS (DELETE FROM news RETURNING id) UPDATE orders SET note = 'x' WHERE id IN (SELECT id FROM d)",
		events: []string{"news.deleted news statements=1 conditional=true", "orders.updated orders statements=1 conditional=true"},
	},
	{query: "EXPLAIN ANALYZE CREATE TABLE made AS SELECT 1 AS id", events: []string{"schema.changed schema#made statements=1"}},
	{
		query:  "CREATE TABLE made AS WITH d AS (DELETE FROM news RETURNING id) SELECT id FROM d",
		events: []string{"news.deleted news statements=1 conditional=true", "schema.changed schema#made statements=1"},
	},
	{
		query:  "WITH d AS (DELETE FROM news RETURNING id) SELECT id INTO made FROM d",
		events: []string{"news.deleted news statements=1 conditional=true", "schema.changed schema#made statements=1"},
	},
	{query: "SELECT 1 AS id INTO made;", events: []string{"schema.changed schema#made statements=1"}},
	{query: "COPY (DELETE FROM news RETURNING id) TO '/dev/null'", events: []string{"news.deleted news statements=1 conditional=true"}},
	{query: "COPY (SELECT id FROM news) TO '/dev/null'"},
	{
		query:   "COPY orders (id) FROM PROGRAM 'echo 11; echo 12'",
		events:  []string{"orders.inserted orders statements=1 rows=2"},
		queried: []string{"orders.inserted orders statements=1 conditional=true"},
	},
	{
		query:   "UPDATE ONLY orders SET note = 'x' FROM news WHERE news.id = orders.id",
		events:  []string{"orders.updated orders statements=1 rows=2"},
		queried: []string{"orders.updated orders statements=1 conditional=true"},
	},
	{
		query:   "DELETE FROM orders * AS o USING news n WHERE n.id = o.id AND o.id = 2",
		events:  []string{"orders.deleted orders#2 statements=1 rows=1"},
		queried: []string{"orders.deleted orders#2 statements=1 conditional=true"},
	},
	{
		query:   "INSERT INTO notes (id) VALUES (9)",
		events:  []string{"orders.inserted orders statements=1 rows=1 via=notes"},
		queried: []string{"orders.inserted orders statements=1 conditional=true via=notes"},
	},
	{
		query:   "UPDATE parts_1 SET note = 'x'",
		events:  []string{"parts.updated parts statements=1 rows=1 via=parts_1"},
		queried: []string{"parts.updated parts statements=1 conditional=true via=parts_1"},
	},
	{
		query:   "UPDATE parts SET note = 'x' WHERE id = 1",
		events:  []string{"parts.updated parts#1 statements=1 rows=1"},
		queried: []string{"parts.updated parts#1 statements=1 conditional=true"},
	},
	{query: "TRUNCATE orders, ONLY news", events: []string{"orders.truncated orders statements=1", "news.truncated news statements=1"}},
}

// TestWithin: each target is an event of its own, for the table that a view or a
// partition is of;
// nothing is counted as unseen.
func TestWithin(t *testing.T) {
	each(t, withinTables, func(w *world) {
		for _, way := range ways {
			w.sub(way.name, func(w *world) {
				w.runWithin(way, func(run func(preparer)) { run(w.db) })
			})
			w.sub(way.name+" in a transaction", func(w *world) {
				w.runWithin(way, func(run func(preparer)) {
					tx := w.begin()
					run(tx)
					w.must(tx.Commit())
				})
			})
		}
		if n := w.told.total(hooks.NoticeUncaptured); n != 0 {
			w.Errorf("%d statements counted as uncaptured: %+v", n, w.told.of(hooks.NoticeUncaptured))
		}
	}, pg...)
}

func (w *world) runWithin(by way, inside func(func(preparer))) {
	w.Helper()
	for _, s := range within {
		if strings.HasPrefix(s.query, "COPY") && strings.HasPrefix(by.name, "prepared") && w.e.Name == dbtest.PQ.Name {
			continue // lib/pq takes any COPY that is prepared for one FROM STDIN
		}
		w.must(w.bare.ExecContext(ctx(), withinRows))
		inside(func(h preparer) {
			if err := by.run(h, w.e.Rebind(s.query), s.args...); err != nil {
				w.Fatalf("%s: %v", s.query, err)
			}
		})
		if by.queries && s.queried != nil {
			w.wantAfter(s.query, s.queried...)
		} else {
			w.wantAfter(s.query, s.events...)
		}
	}
}

// TestMerge: lib/pq does not count what a MERGE changes.
func TestMerge(t *testing.T) {
	const merge = "MERGE INTO orders AS o USING news n ON o.id = n.id WHEN MATCHED THEN UPDATE SET note = 'x' " +
		"WHEN NOT MATCHED THEN INSERT (id) VALUES (n.id)"
	each(t, withinTables, func(w *world) {
		rows := " rows=3"
		if w.e.Name == dbtest.PQ.Name {
			rows = " conditional=true"
		}
		w.setUp(withinRows)
		w.exec(merge)
		w.want("orders.merged orders statements=1" + rows)
		w.exec("WITH n AS (SELECT 20 AS id) MERGE INTO orders USING n ON false WHEN NOT MATCHED THEN INSERT (id) VALUES (n.id)")
		w.exec("EXPLAIN ANALYZE " + merge)
		w.wantCount("orders", 4)
		w.exec("MERGE INTO orders USING news n ON false WHEN MATCHED THEN DELETE") // and a zero may be either
		if got := w.events(); len(got) != 3 || got[2].Action != "orders.merged" || got[2].Metadata["rows"] != nil {
			w.Errorf("events %+v, want three of MERGE", got)
		}
	}, pg...)
}

// TestWithinRules: of several targets those that the rules name are captured,
// and temporary tables never are.
func TestWithinRules(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, withinTables, driver.Capture(driver.Tables("news")))
		w.setUp(withinRows)
		w.exec("WITH d AS (DELETE FROM news WHERE id = 1 RETURNING *) INSERT INTO orders (id) SELECT id + 10 FROM d")
		w.want("news.deleted news#1 statements=1 conditional=true")
		w.exec("WITH d AS (DELETE FROM orders RETURNING *) SELECT 1 FROM d")
		w.want()
		tx := w.begin()
		w.execOn(tx, "CREATE TEMP TABLE made ON COMMIT DROP AS WITH d AS (DELETE FROM news WHERE id = 2 RETURNING *) SELECT * FROM d")
		w.execOn(tx, "WITH d AS (DELETE FROM made RETURNING *) SELECT 1 FROM d")
		w.must(tx.Commit())
		w.want("news.deleted news#2 statements=1 conditional=true")
	}, pg...)
}

// TestIntoTemporary: a temporary table is one, too, if a SELECT makes it.
func TestIntoTemporary(t *testing.T) {
	each(t, withinTables, func(w *world) {
		tx := w.begin()
		w.execOn(tx, "WITH n AS (SELECT 1 AS id) SELECT id INTO TEMP made FROM n")
		w.execOn(tx, "WITH i AS (INSERT INTO made (id) VALUES (2) RETURNING id) UPDATE made SET id = 3")
		w.execOn(tx, "WITH d AS (DELETE FROM made RETURNING id) INSERT INTO orders (id) SELECT id FROM d")
		w.must(tx.Commit())
		w.want("orders.inserted orders statements=1 rows=2")
	}, pg...)
}

// TestWrittenBeyond: what a statement writes beyond what it names is counted.
func TestWrittenBeyond(t *testing.T) {
	const tables = withinTables + "; CREATE TABLE lines (id bigint REFERENCES orders)"
	each(t, tables, func(w *world) {
		for _, c := range []struct{ query, event string }{
			{"PREPARE p AS WITH d AS (DELETE FROM news RETURNING id) SELECT id FROM d; CREATE TABLE made AS EXECUTE p; DEALLOCATE p", "schema.changed schema#made statements=1"},
			{"TRUNCATE orders CASCADE", "orders.truncated orders statements=1"},
		} {
			w.told.forget()
			w.exec(c.query)
			w.wantAfter(c.query, c.event)
			tx := w.begin()
			w.execOn(tx, "DROP TABLE IF EXISTS made")
			w.execOn(tx, c.query)
			w.must(tx.Rollback())
			w.want()
			if n := w.told.total(hooks.NoticeUncaptured); n != 2 {
				w.Errorf("%s: %d statements counted as uncaptured, want 2", c.query, n)
			}
		}
	}, pg...)
}

// TestSpellings: SQLite's ways to say what happens to a row that is there.
func TestSpellings(t *testing.T) {
	const rows = "DELETE FROM orders; INSERT INTO orders (id) VALUES (1), (2); DELETE FROM news; INSERT INTO news (id, note) VALUES (1, 'x')"
	each(t, "CREATE TABLE orders (id bigint PRIMARY KEY, note text); CREATE TABLE news (id bigint, note text)", func(w *world) {
		for _, c := range []struct {
			query  string
			events []string
		}{
			{"INSERT OR IGNORE INTO orders (id) VALUES (1)", nil},
			{"INSERT OR IGNORE INTO orders (id) VALUES (3)", []string{"orders.inserted orders#3 statements=1 rows=1"}},
			{"INSERT OR REPLACE INTO orders (id) VALUES (1)", []string{"orders.upserted orders#1 statements=1 rows=1"}},
			{"REPLACE INTO orders SELECT id, note FROM news", []string{"orders.upserted orders statements=1 rows=1"}},
			{"INSERT OR FAIL INTO main.orders (id) VALUES (4)", []string{"orders.inserted orders#4 statements=1 rows=1"}},
			{"INSERT INTO orders (id) VALUES (1) ON CONFLICT (id) DO NOTHING", nil},
			{"UPDATE OR IGNORE orders SET id = 2 WHERE id = 1", nil},
			{"UPDATE OR REPLACE orders SET id = 2 WHERE id = 1", []string{"orders.updated orders#1 statements=1 rows=1"}},
			{"UPDATE orders SET note = news.note FROM news WHERE news.id = orders.id", []string{"orders.updated orders statements=1 rows=1"}},
			{"WITH n AS (SELECT id FROM news) DELETE FROM [orders] WHERE id IN n", []string{"orders.deleted orders statements=1 rows=1"}},
			{"CREATE TABLE IF NOT EXISTS `made` AS SELECT * FROM news", []string{"schema.changed schema#made statements=1 conditional=true"}},
			{"EXPLAIN DELETE FROM orders", nil},
		} {
			w.setUp(rows)
			w.exec(c.query)
			w.wantAfter(c.query, c.events...)
		}
	}, lite...)
}
