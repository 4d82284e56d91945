package capture_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

var (
	long     = strings.Repeat("x", 200)
	longWild = strings.Repeat("é", 100) // 200 bytes
)

// names are tables as statements call them, and as events do.
var names = []struct {
	sql     string
	action  string
	target  string
	ddl     string // before the table
	engines []dbtest.Engine
}{
	{sql: `orders`, action: "orders", target: "orders"},
	{sql: `"orders"`, action: "orders", target: "orders"},
	{sql: `Orders`, action: "orders", target: "orders", engines: pg},
	{sql: `Orders`, action: "orders", target: "Orders", engines: lite},
	{sql: `"Orders"`, action: "orders", target: "Orders"},
	{sql: `"order lines"`, action: "order_lines", target: "order lines"},
	{sql: `"2024-sales"`, action: "t2024_sales", target: "2024-sales"},
	{sql: `_private`, action: "t_private", target: "_private"},
	{sql: `"say ""hi"""`, action: "say__hi_", target: `say "hi"`},
	{sql: `"semi;colon"`, action: "semi_colon", target: "semi;colon"},
	{sql: `"it's"`, action: "it_s", target: "it's"},
	{sql: `größe`, action: "gr____e", target: "größe"},
	{sql: `"注文"`, action: "t______", target: "注文"},
	{sql: `"UPDATE"`, action: "update", target: "UPDATE"},
	{sql: `"--"`, action: "t__", target: "--"},
	{sql: `public.things`, action: "things", target: "things", engines: pg},
	{sql: `main.things`, action: "things", target: "things", engines: lite},
	{sql: `billing.invoices`, action: "billing.invoices", target: "billing.invoices", ddl: "CREATE SCHEMA billing", engines: pg},
	{sql: `"Billing Dept".invoices`, action: "billing_dept.invoices", target: "Billing Dept.invoices", ddl: `CREATE SCHEMA "Billing Dept"`, engines: pg},
	{sql: `U&"d\0061t\+000061"`, action: "data", target: "data", engines: pg},
	{sql: "[brackets]", action: "brackets", target: "brackets", engines: lite},
	{sql: "`backticks`", action: "backticks", target: "backticks", engines: lite},
	{sql: long, action: long[:63], target: long[:63], engines: pg},
	{sql: long, action: long, target: long, engines: lite},
	{sql: `"` + longWild + `"`, action: "t" + strings.Repeat("_", 62), target: longWild[:62], engines: pg},
	{sql: `"` + longWild + `"`, action: "t" + strings.Repeat("_", 200), target: longWild, engines: lite},
}

// TestNames: the action has the form of an action, the target the exact name.
func TestNames(t *testing.T) {
	each(t, "", func(w *world) {
		for _, n := range names {
			if !w.speaks(n.engines) {
				continue
			}
			if n.ddl != "" {
				w.must(w.bare.ExecContext(ctx(), n.ddl))
			}
			// Not by setUp, which takes a semicolon for the end.
			w.must(w.bare.ExecContext(ctx(), "CREATE TABLE "+n.sql+" (id bigint PRIMARY KEY)"))
			w.exec("INSERT INTO " + n.sql + " (id) VALUES (1)")
			w.exec("UPDATE " + n.sql + " SET id = 2 WHERE id = 1")
			w.exec("DELETE FROM " + n.sql + " WHERE id = 2")
			w.wantAfter(n.sql,
				n.action+".inserted "+n.target+"#1 statements=1 rows=1",
				n.action+".updated "+n.target+"#1 statements=1 rows=1",
				n.action+".deleted "+n.target+"#2 statements=1 rows=1",
			)
			w.must(w.bare.ExecContext(ctx(), "DROP TABLE "+n.sql))
		}
	})
}

// TestVeryLongName: SQLite has no limit, events have.
func TestVeryLongName(t *testing.T) {
	each(t, "", func(w *world) {
		name := strings.Repeat("n", 3000)
		w.setUp("CREATE TABLE " + name + " (id bigint PRIMARY KEY)")
		w.exec("INSERT INTO " + name + " (id) VALUES (1)")
		events := w.events()
		if len(events) != 1 {
			w.Fatalf("%d events, want 1", len(events))
		}
		e := events[0]
		if len(e.Action) != 255 || !strings.HasSuffix(e.Action, ".inserted") || len(e.Target.Type) != 1024 || e.Metadata["shortened"] != true {
			w.Errorf("action of %d bytes %q, target of %d, metadata %v: want 255, 1024, shortened",
				len(e.Action), e.Action, len(e.Target.Type), e.Metadata)
		}
	}, lite...)
}

// TestDotInName: a table whose name has a dot is not one in a schema.
func TestDotInName(t *testing.T) {
	each(t, `CREATE TABLE "a.b" (id bigint PRIMARY KEY)`, func(w *world) {
		w.exec(`INSERT INTO "a.b" (id) VALUES (1)`)
		w.want("a_b.inserted a.b#1 statements=1 rows=1")
	})
}
