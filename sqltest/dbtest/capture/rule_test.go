package capture_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func (w *world) wantNowhere(e journal.Entry, text string) {
	w.Helper()
	if s := fmt.Sprintf("%+v", e); strings.Contains(s, text) {
		w.Errorf("the event says %q: %s", text, s)
	}
}

// TestTemporaryTables: nobody else ever sees them.
func TestTemporaryTables(t *testing.T) {
	each(t, "", func(w *world) {
		conn := w.conn()
		w.execOn(conn, "CREATE TEMPORARY TABLE scratch (id bigint)")
		w.execOn(conn, "INSERT INTO scratch (id) VALUES (1)")
		w.execOn(conn, "UPDATE scratch SET id = 2")
		w.execOn(conn, "CREATE TEMP TABLE IF NOT EXISTS more AS SELECT * FROM scratch")
		w.execOn(conn, "DELETE FROM more")
		w.execOn(conn, "DROP TABLE scratch")
		w.want()
	})
}

// TestTemporaryTablesOfOthers: a table that another connection made is none
// here, and one of the same name that stays is an ordinary one.
func TestTemporaryTablesOfOthers(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		first, second := w.conn(), w.conn()
		w.execOn(first, "CREATE TEMPORARY TABLE orders (id bigint)")
		w.execOn(first, "INSERT INTO orders (id) VALUES (1)")
		w.want()
		w.execOn(second, "INSERT INTO orders (id) VALUES (2)")
		w.want("orders.inserted orders#2 statements=1 rows=1")
	})
}

// TestTemporaryTableIsGone: after its end, the name is an ordinary one again.
func TestTemporaryTableIsGone(t *testing.T) {
	each(t, "", func(w *world) {
		conn := w.conn()
		w.execOn(conn, "CREATE TEMPORARY TABLE Scratch (id bigint)")
		w.execOn(conn, "INSERT INTO scratch (id) VALUES (1)")
		w.execOn(conn, "DROP TABLE scratch")
		w.want()
		w.execOn(conn, "CREATE TABLE scratch (id bigint PRIMARY KEY)")
		w.execOn(conn, "INSERT INTO scratch (id) VALUES (1)")
		w.want("schema.changed schema#scratch statements=1", "scratch.inserted scratch#1 statements=1 rows=1")
	})
}

// TestRules: which tables a rule means.
func TestRules(t *testing.T) {
	type rules struct {
		name  string
		rules *driver.Rules
		want  string
	}
	ddl := "CREATE TABLE orders (id bigint); CREATE TABLE visits (id bigint); CREATE TABLE Things (id bigint)"
	cases := []rules{
		{"all", driver.AllTables(), "orders visits things"},
		{"all but one", driver.AllTables().Except("visits"), "orders things"},
		{"all but some", driver.AllTables().Except("visits").Except("ORDERS"), "things"},
		{"one", driver.Tables("orders"), "orders"},
		{"two", driver.Tables("Orders", "THINGS"), "orders things"},
		{"one of two", driver.Tables("orders", "visits").Except("orders"), "visits"},
		{"another schema", driver.Tables("elsewhere.orders"), ""},
		{"another schema's is left out", driver.AllTables().Except("elsewhere.orders"), "orders visits things"},
		{"one of ours by name", driver.Tables("schema_migrations"), "schema_migrations"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
				w := newHub(t, e, e.DSN(t))
				w.setUp(ddl + "; CREATE TABLE schema_migrations (id bigint)")
				w.register(driver.Capture(c.rules))
				for _, table := range []string{"orders", "visits", "things", "schema_migrations"} {
					w.exec("INSERT INTO " + table + " (id) VALUES (1)")
				}
				var got []string
				for _, e := range w.events() {
					got = append(got, strings.ToLower(e.Target.Type)) // SQLite keeps the capitals
				}
				if s := strings.Join(got, " "); s != c.want {
					t.Errorf("captured [%s], want [%s]", s, c.want)
				}
			}, dbtest.SQLite, dbtest.PQ)
		})
	}
}

// TestRulesWithSchemas: a name without a schema means the table in each.
func TestRulesWithSchemas(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newHub(t, e, e.DSN(t))
		w.setUp("CREATE SCHEMA billing; CREATE SCHEMA sales; CREATE TABLE billing.items (id bigint PRIMARY KEY); CREATE TABLE sales.items (id bigint PRIMARY KEY); CREATE TABLE billing.notes (id bigint PRIMARY KEY)")
		w.register(driver.Capture(driver.Tables("items", "billing.notes").Except("sales.items")))
		w.exec("INSERT INTO billing.items (id) VALUES (1)")
		w.exec("INSERT INTO sales.items (id) VALUES (1)")
		w.exec("INSERT INTO billing.notes (id) VALUES (1)")
		w.want("billing.items.inserted billing.items#1 statements=1 rows=1", "billing.notes.inserted billing.notes#1 statements=1 rows=1")
	}, pg...)
}

// TestNoRules: without a rule nothing is captured, and nothing counted.
func TestNoRules(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newHub(t, e, e.DSN(t))
		w.setUp(ordersTable)
		w.register()
		w.exec("INSERT INTO orders (id) VALUES (1)")
		w.exec("CREATE TABLE more (id bigint)")
		w.exec("SELECT 1; BEGIN; INSERT INTO orders (id) VALUES (2); COMMIT")
		w.want()
		if n := w.told.total(hooks.NoticeUncaptured); n != 0 {
			w.Errorf("%d statements are counted as uncaptured", n)
		}
	})
}
