package capture_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// matching are rules and a statement; then its event, and how many writes are
// counted as uncaptured.
var matching = []struct {
	name    string
	rules   *driver.Rules
	script  string
	want    string
	unseen  int
	engines []dbtest.Engine
}{
	{name: "the default schema", rules: driver.Tables("public.orders"), script: insert, want: "orders.inserted orders#1" + row, engines: pg},
	{name: "the default schema, on SQLite", rules: driver.Tables("main.orders"), script: insert, want: "orders.inserted orders#1" + row, engines: lite},
	{name: "another one is meant", rules: driver.Tables("t1.orders"), script: insert, engines: pg},
	{name: "the path", rules: driver.Tables("t1.orders"), script: "SET search_path = t1\n" + insert, want: "t1.orders.inserted t1.orders#1" + row, engines: pg},
	{name: "the path leads elsewhere", rules: driver.Tables("public.orders"), script: "SET search_path = t1\n" + insert, engines: pg},
	{name: "left out, the default schema", rules: driver.AllTables().Except("public.orders"), script: insert, engines: pg},
	{name: "left out, the default schema, on SQLite", rules: driver.AllTables().Except("MAIN.Orders"), script: insert, engines: lite},
	{name: "left out, the path", rules: driver.Tables("orders").Except("t1.orders"), script: "SET search_path = t1\n" + insert + "\nINSERT INTO public.orders (id) VALUES (1)", want: "orders.inserted orders#1" + row, engines: pg},
	{name: "through a view", rules: driver.Tables("public.orders"), script: "INSERT INTO my_orders (id) VALUES (1)", want: "orders.inserted orders" + row + " via=my_orders", engines: pg},
	{name: "only a view", rules: driver.Tables("open_orders"), script: "INSERT INTO my_orders (id) VALUES (1)\n" + strings.Replace(insert, "1", "2", 1), want: "open_orders.inserted open_orders" + row + " via=my_orders", engines: pg},
	{name: "a view is left out", rules: driver.Tables("orders").Except("open_orders"), script: "INSERT INTO my_orders (id) VALUES (1)", engines: pg},
	{name: "through a partition", rules: driver.Tables("parts"), script: "INSERT INTO parts_26a (id, year) VALUES (1, 2026)", want: "parts.inserted parts" + row + " via=parts_26a", engines: pg},
	{name: "only a partition", rules: driver.Tables("parts_26"), script: "INSERT INTO parts_26a (id, year) VALUES (1, 2026)", want: "parts_26.inserted parts_26" + row + " via=parts_26a", engines: pg},
	{name: "a partition is left out", rules: driver.Tables("parts").Except("parts_26a"), script: "INSERT INTO parts_26a (id, year) VALUES (1, 2026)\nINSERT INTO parts (id, year) VALUES (2, 2026)", want: "parts.inserted parts" + row, engines: pg},
	{name: "behind a view of two tables", rules: driver.Tables("orders"), script: "INSERT INTO vip_orders (id) VALUES (1)", unseen: 1, engines: pg},
	{name: "behind another view", rules: driver.Tables("lines"), script: "INSERT INTO vip_orders (id) VALUES (1)", engines: pg},
	{name: "behind INSTEAD OF", rules: driver.Tables("orders"), script: "+CREATE TRIGGER t INSTEAD OF INSERT ON stats FOR EACH ROW EXECUTE FUNCTION nothing()\nBEGIN\nINSERT INTO stats (id) VALUES (1)\nCOMMIT", unseen: 1, engines: pg},
	{name: "behind INSTEAD OF, on SQLite", rules: driver.Tables("orders"), script: "+CREATE TRIGGER t INSTEAD OF INSERT ON open_orders BEGIN INSERT INTO orders (id) VALUES (new.id); END\nINSERT INTO open_orders (id) VALUES (1)", unseen: 1, engines: lite},
	{name: "behind INSTEAD OF of others, on SQLite", rules: driver.Tables("vips"), script: "+CREATE TRIGGER t INSTEAD OF INSERT ON open_orders BEGIN INSERT INTO orders (id) VALUES (new.id); END\nINSERT INTO open_orders (id) VALUES (1)", engines: lite},
	{name: "behind INSTEAD OF, the table a string, on SQLite", rules: driver.Tables("orders"), script: "+CREATE VIEW v AS SELECT * FROM 'orders'\n+CREATE TRIGGER t INSTEAD OF INSERT ON v BEGIN INSERT INTO orders (id) VALUES (new.id); END\nINSERT INTO v (id) VALUES (1)", unseen: 1, engines: lite},
	{name: "DDL, the path", rules: driver.Tables("t1.orders"), script: "ALTER TABLE orders ADD more int\nSET search_path = t1\nALTER TABLE orders ADD more int\nCREATE INDEX more ON orders (more)\nDROP TABLE t2.lines, orders", want: "schema.changed schema#t1.orders statements=1\nschema.changed schema#t1.more statements=1\nschema.changed schema#t1.orders statements=1", engines: pg},
	{name: "DDL of a view", rules: driver.Tables("orders"), script: "DROP VIEW my_orders", engines: pg},
	{name: "made in the path", rules: driver.Tables("t1.made"), script: "CREATE TABLE made (id bigint)\nSET search_path = t1\nCREATE TABLE made (id bigint)", want: "schema.changed schema#t1.made statements=1", engines: pg},
}

// TestMatching: a rule means a table, however a statement finds it.
func TestMatching(t *testing.T) {
	for _, m := range matching {
		t.Run(m.name, func(t *testing.T) {
			dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
				w := newHub(t, e, e.DSN(t))
				ddl := relationTables
				if e.Dialect == hooks.SQLite {
					ddl = liteTables
				}
				w.must(w.bare.ExecContext(ctx(), ddl))
				w.register(driver.Capture(m.rules))
				w.runRelation(relationCase{script: m.script, want: m.want})
				told := w.told.of(hooks.NoticeUncaptured)
				if n := w.told.total(hooks.NoticeUncaptured); n != m.unseen || n > 0 && told[0].Reason != "view" {
					t.Errorf("%d writes counted as uncaptured, want %d: %+v", n, m.unseen, told)
				}
			}, m.engines...)
		})
	}
}

// TestAllTablesLeavesOut: the tables of others that work in the same database,
// by their whole names.
func TestAllTablesLeavesOut(t *testing.T) {
	out := []string{
		"schema_migrations", "goose_db_version", "flyway_schema_history", "bun_migrations", "schema_version",
		"river_job", "river_queue", "river_leader", "river_client", "river_client_queue", "river_migration",
	}
	in := []string{
		"river_stations", "river_jobs", "threadline_items", "aftercommit_offers", "goose_db_versions", "sqlite_exports",
		"elsewhere.schema_version",
	}
	each(t, "", func(w *world) {
		tables := slices.Concat(out, in)
		lite := w.e.Dialect == hooks.SQLite
		if !lite {
			tables = append(tables, "elsewhere.river_job", "elsewhere.schema_migrations")
			w.setUp("CREATE SCHEMA elsewhere")
		}
		for _, table := range tables {
			if lite && (strings.HasPrefix(table, "sqlite_") || strings.Contains(table, ".")) {
				continue
			}
			w.setUp("CREATE TABLE " + table + " (id bigint PRIMARY KEY)")
			w.exec("INSERT INTO " + table + " (id) VALUES (1)")
			var want []string
			if slices.Contains(in, table) {
				want = []string{table + ".inserted " + table + "#1" + row}
			}
			w.wantAfter(table, want...)
		}
	})
}

// TestAllTablesLeavesOurOwnOut: also those that are added to the journal or the
// timeline one day.
func TestAllTablesLeavesOurOwnOut(t *testing.T) {
	each(t, "", func(w *world) {
		w.must(w.bare.ExecContext(ctx(), threadline.Schema(w.e.Dialect, nil)))
		w.record(w.db, "n") // so that the journal's tables are there
		_ = w.events()
		query := "SELECT format('GRANT SELECT ON %I.%I TO PUBLIC', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('aftercommit', 'threadline')"
		if w.e.Dialect == hooks.SQLite {
			query = "SELECT format('CREATE TRIGGER t_%s %s INSERT ON %s BEGIN SELECT 1; END', name, iif(type = 'view', 'INSTEAD OF', 'AFTER'), name) FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%'"
		}
		rows, err := w.bare.QueryContext(ctx(), query)
		w.must(err)
		defer rows.Close()
		var changes []string
		for rows.Next() {
			var change string
			w.must(rows.Scan(&change))
			changes = append(changes, change)
		}
		w.must(rows.Err())
		if len(changes) < 8 {
			w.Fatalf("only %d tables are found", len(changes))
		}
		for _, change := range changes {
			w.exec(change)
			w.wantAfter(change)
		}
	})
}

// TestUnmatched: a rule that names no table is a warning, once.
func TestUnmatched(t *testing.T) {
	for _, c := range []struct {
		name    string
		rules   *driver.Rules
		missing string
	}{
		{"all there", driver.Tables("orders", "Visits").Except("ORDERS"), ""},
		{"all tables", driver.AllTables(), ""},
		{"misspelt", driver.Tables("orders", "ordres"), "ordres"},
		{"misspelt exceptions", driver.AllTables().Except("visit", "orders", "elsewhere.visits"), "visit, elsewhere.visits"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
				w := newHub(t, e, e.DSN(t))
				w.setUp(ordersTable + "; CREATE VIEW visits AS SELECT id FROM orders")
				w.register(driver.Capture(c.rules))
				first, second := w.conn(), w.conn()
				w.execOn(first, insert)
				w.execOn(second, "DELETE FROM orders")
				told := w.told.of(hooks.NoticeUnmatched)
				if c.missing == "" {
					if len(told) > 0 {
						t.Errorf("told %v", told[0].Err)
					}
					return
				}
				if len(told) != 1 {
					t.Fatalf("told %d times, want once", len(told))
				}
				w.wantText(told[0].Err, " "+c.missing+",")
				if want := strings.Count(c.missing, ",") + 1; told[0].Count != want {
					t.Errorf("count %d, want %d", told[0].Count, want)
				}
			})
		})
	}
}
