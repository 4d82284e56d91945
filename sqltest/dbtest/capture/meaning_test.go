package capture_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// TestNamesInAString: what a name stands for in the middle of a string cannot be
// asked. If it stood for something else before and after, its write is counted.
func TestNamesInAString(t *testing.T) {
	const (
		add      = "INSERT INTO orders VALUES (1)"
		inserted = " statements=1 conditional=true"
	)
	cases := []struct {
		query string
		want  []string
		lost  int
	}{
		{"SET search_path = t2; " + add + "; RESET search_path", nil, 1},
		{"SET search_path = t2; " + add + "; SET search_path = public; INSERT INTO orders VALUES (2)", []string{"orders.inserted orders" + inserted}, 1},
		{add + "; SET search_path = t2; " + add + "; RESET ALL", []string{"orders.inserted orders" + inserted}, 1},
		{"SET search_path = t2; INSERT INTO t2.orders VALUES (1); RESET search_path", []string{"t2.orders.inserted t2.orders" + inserted}, 0},
		{"SELECT set_config('search_path', 't2', true); " + add + "; SELECT (set_config('search_path', 'public', true))", nil, 1},
		{"SET search_path = t2; " + add + "; DO 'BEGIN END'; INSERT INTO t2.orders VALUES (1)", []string{"t2.orders.inserted t2.orders" + inserted}, 2}, // one is the DO
		{"SET search_path = t2; WITH x AS (" + add + ") SELECT 1; RESET search_path", nil, 1},
		{"SET search_path = t2; CREATE TABLE made (id int); DROP TABLE made; RESET search_path", nil, 2},
		{"CREATE TEMP VIEW orders AS SELECT * FROM t2.orders; " + add + "; DROP VIEW orders", nil, 1},
		{"CREATE TEMP TABLE o3 (id int); ALTER TABLE o3 RENAME TO orders; " + add + "; DROP TABLE orders", nil, 2}, // the DROP, too
		{"CREATE TEMP TABLE orders (id int); " + add + "; DROP TABLE orders", nil, 0},
		{"CREATE TEMP TABLE orders (id int); " + add + "; ALTER TABLE orders RENAME TO notes; DROP TABLE notes", nil, 1}, // the last DROP
		{"CREATE TEMP TABLE IF NOT EXISTS orders (id int); " + add + "; DROP TABLE orders; INSERT INTO orders VALUES (2)", []string{"orders.inserted orders" + inserted}, 0},
		{"ALTER TABLE orders RENAME TO keep; INSERT INTO keep VALUES (1); ALTER TABLE keep RENAME TO orders", []string{"schema.changed schema#orders statements=1"}, 2},
		{"ALTER TABLE orders SET SCHEMA t1; INSERT INTO t1.orders VALUES (1); ALTER TABLE t1.orders SET SCHEMA public", []string{"schema.changed schema#orders statements=1"}, 2},
		{
			"CREATE TABLE a (id int); INSERT INTO a VALUES (1); CREATE TABLE b (id int); INSERT INTO b VALUES (1); " + add + "; CREATE INDEX a_id ON a (id); ALTER TABLE a ADD n int; DROP TABLE x",
			[]string{
				"schema.changed schema#a statements=1", "a.inserted a" + inserted, "schema.changed schema#b statements=1", "b.inserted b" + inserted,
				"orders.inserted orders" + inserted, "schema.changed schema#a_id statements=1", "schema.changed schema#a statements=1", "schema.changed schema#x statements=1",
			},
			0,
		},
		{"CREATE TABLE z (id int); INSERT INTO v VALUES (1); DROP TABLE y CASCADE", []string{"schema.changed schema#z statements=1", "schema.changed schema#y statements=1"}, 1},
		{
			"CREATE TABLE a (id int); " + add + "; ALTER TABLE orders RENAME TO keep; INSERT INTO keep VALUES (1)",
			[]string{"schema.changed schema#a statements=1", "orders.inserted orders" + inserted, "schema.changed schema#orders statements=1", "keep.inserted keep" + inserted},
			0,
		},
	}
	each(t, "", func(w *world) {
		w.db.SetMaxIdleConns(0)
		for _, c := range cases {
			for _, inside := range []bool{false, true} {
				w.setUp("DROP SCHEMA IF EXISTS public, t1, t2 CASCADE; CREATE SCHEMA public; CREATE SCHEMA t1; CREATE SCHEMA t2")
				w.setUp("CREATE TABLE orders (id int); CREATE TABLE x (id int); CREATE TABLE y (id int); CREATE VIEW v AS SELECT * FROM y; CREATE TABLE t2.orders (id int)")
				w.told.forget()
				if inside {
					tx := w.begin()
					w.execOn(tx, c.query)
					w.must(tx.Commit())
				} else {
					w.exec(c.query)
				}
				w.wantAfter(c.query, c.want...)
				if n := w.told.total(hooks.NoticeUncaptured); n != c.lost {
					w.Errorf("%s: %d counted, want %d", c.query, n, c.lost)
				}
			}
		}
	}, pg...)
}

// TestNamesOfALocalPath: the path of a string without a transaction around it is
// gone before it can be asked.
func TestNamesOfALocalPath(t *testing.T) {
	each(t, "CREATE SCHEMA t2; CREATE TABLE orders (id int); CREATE TABLE t2.orders (id int)", func(w *world) {
		w.exec("DO 'BEGIN END'; SET LOCAL search_path = t2; INSERT INTO orders VALUES (1)")
		w.want()
		if n := w.told.total(hooks.NoticeUncaptured); n != 2 { // one is the DO
			w.Errorf("%d counted, want 2", n)
		}
		w.wantCount("t2.orders", 1)
	}, pg...)
}

// TestNamesInAStringOnSQLite: a string with parameters is not cut there.
func TestNamesInAStringOnSQLite(t *testing.T) {
	each(t, "CREATE TABLE orders (id int); CREATE TABLE lines (id int)", func(w *world) {
		for _, c := range []struct {
			query string
			want  []string
			lost  int
		}{
			{"CREATE TEMP VIEW v AS SELECT * FROM orders; CREATE TEMP TRIGGER t INSTEAD OF INSERT ON v BEGIN INSERT INTO orders VALUES (new.id); END; INSERT INTO v VALUES (?); DROP VIEW v", nil, 1},
			{"ALTER TABLE orders RENAME TO keep; INSERT INTO Keep VALUES (?); ALTER TABLE keep RENAME TO orders", []string{"schema.changed schema#orders statements=1"}, 2},
			{"CREATE TEMP TABLE orders (id int); INSERT INTO orders VALUES (?); DROP TABLE orders", nil, 0},
			{"ATTACH ':memory:' AS other; CREATE TABLE other.notes (id int); INSERT INTO notes VALUES (?); DETACH other", []string{"schema.changed schema#other.notes statements=1"}, 1},
		} {
			for _, inside := range []bool{false, true} {
				w.told.forget()
				if tx := w.begin(); inside && c.query[0] != 'A' {
					w.execOn(tx, c.query, 1)
					w.must(tx.Commit())
				} else {
					w.must(tx.Rollback())
					w.exec(c.query, 1)
				}
				w.wantAfter(c.query, c.want...)
				if n := w.told.total(hooks.NoticeUncaptured); n != c.lost {
					w.Errorf("%s: %d counted, want %d", c.query, n, c.lost)
				}
			}
		}
	}, lite...)
}
